import { type Bus, type BusOptions, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type NatsOptions, nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

const busOf = (options: NatsOptions, more: Partial<BusOptions>): Promise<Bus> =>
  createBus({ broker: nats({ url: server.url, ...options }), ...more });

const once = { delivery: 'exactly-once', idempotencyKey: 'a' } as const;
const WINDOW = 1_000;

it.each([
  ['and is handled', { retention: 'workqueue' } as const],
  ['and is purged', {}],
])('takes a key again after its own window where another bus has a longer one, %s', async (_, stream) => {
  const prefix = Object.keys(stream).length === 0 ? 'purged' : 'handled';
  await using long = await busOf({ stream }, { prefix });
  await long.publish('other', 0);
  await using bus = await busOf({ stream }, { prefix, deduplicationWindow: WINDOW });
  const got: unknown[] = [];
  await bus.subscribe('keys', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('keys', 1, once);
  await expect.poll(() => got).toEqual([1]);
  const isSettled = async () => (await bus.admin.group('keys', 'g'))?.depth === 0;
  await expect.poll(isSettled).toBe(true);
  if (prefix === 'purged') {
    await bus.publish('other', 1);
    await bus.admin.purge('keys');
  }
  await bus.publish('keys', 2, once);
  await new Promise((resolve) => setTimeout(resolve, WINDOW + 100));
  await bus.publish('keys', 3, once);
  await bus.publish('keys', 4, once);
  await bus.publish('keys', 'end');
  await expect.poll(() => got.at(-1)).toBe('end');
  expect(got).toEqual([1, 3, 'end']);
});
