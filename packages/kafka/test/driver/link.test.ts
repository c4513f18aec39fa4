import { createServer, type Server } from 'node:net';
import { ConnectionError } from '@ambus/core';
import { afterEach, describe, expect, it } from 'vitest';
import { offsetCommit } from '../../src/driver/group-requests.ts';
import { Link } from '../../src/driver/link.ts';
import type { Request } from '../../src/driver/request.ts';
import {
  addOffsetsToTxn,
  addPartitionsToTxn,
  endTxn,
  txnOffsetCommit,
} from '../../src/driver/transaction-requests.ts';

const CLIENT = { brokers: [], connectionTimeout: 1_000, requestTimeout: 100 };

let server: Server | undefined;
afterEach(() => server?.close());

/** A server that takes its time for an answer, which is the same to everything. */
async function slow(delay: number, answer: string): Promise<number> {
  server = createServer((socket) => {
    socket.on('data', (request) => {
      const body = Buffer.concat([request.subarray(8, 12), Buffer.from(answer, 'hex')]);
      const size = Buffer.alloc(4);
      size.writeInt32BE(body.length);
      setTimeout(() => socket.write(Buffer.concat([size, body])), delay);
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

it('takes credentials that cannot be had for a connection that cannot be made now', async () => {
  const sasl = () => {
    throw new Error('the vault is sealed');
  };
  const error = await Link.open({ ...CLIENT, sasl }, '127.0.0.1', 1).catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(ConnectionError);
  expect((error as ConnectionError).retryable).toBe(true);
  expect((error as ConnectionError).message).toContain('the vault is sealed');
});

describe('gives a server the time that it takes by itself', () => {
  const transactor = { transactionalId: 'id', producer: { id: 1n, epoch: 0 } };
  const membership = { group: 'g', generation: 1, member: 'me', instance: null };
  const ok = '0'.repeat(16);
  const requests: [request: Request<unknown>, answer: string][] = [
    [offsetCommit(membership, []), ok],
    [txnOffsetCommit(transactor, membership, []), '00000000000100'],
    [addPartitionsToTxn(transactor, []), ok],
    [addOffsetsToTxn(transactor, 'g'), ok],
    [endTxn(transactor, true), ok],
  ];

  it.each(requests.map(([request, answer]) => [request.name, request, answer] as const))(
    'to store %s',
    async (_, request, answer) => {
      const link = await Link.open(CLIENT, '127.0.0.1', await slow(250, answer));
      await link.send(request);
      link.close();
    },
  );
});
