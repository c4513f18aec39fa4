import { ConnectionError } from '@ambus/core';
import { expect, it } from 'vitest';
import { Link } from '../../src/driver/link.ts';

it('takes credentials that cannot be had for a connection that cannot be made now', async () => {
  const client = {
    brokers: [],
    connectionTimeout: 1_000,
    requestTimeout: 1_000,
    sasl: () => {
      throw new Error('the vault is sealed');
    },
  };
  const error = await Link.open(client, '127.0.0.1', 1).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(ConnectionError);
  expect((error as ConnectionError).retryable).toBe(true);
  expect((error as ConnectionError).message).toContain('the vault is sealed');
});
