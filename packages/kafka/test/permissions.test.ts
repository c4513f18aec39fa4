import { BusError, ConfigError, createBus, type Message } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { kafka } from '../src/index.ts';
import { type Account, as, startWithAccounts } from './support/accounts.ts';

const GROUP = { group: 'workers', retry: { maxRetries: 1, delays: [50] } } as const;

let server: Server;
const brokers = (): string => `${server.host}:${server.port}`;
const connect = (username: Account, options: object = {}) =>
  createBus({
    broker: kafka({ brokers: brokers(), sasl: as(username), partitions: 2 }),
    logger: false,
    publishTimeout: 5_000,
    ...options,
  });

beforeAll(async () => {
  server = await startWithAccounts({}, 'ambus');
});
afterAll(() => server.close());

it('works for an account that may create nothing, once somebody else has made what it uses', async () => {
  await using owner = await connect('owner');
  await owner.admin.ensureTopic('orders.made');
  await owner.admin.ensureTopic('orders.out');
  await owner.admin.ensureTopic('dead-letters');
  await owner.admin.ensureGroup('orders.made', 'workers', 'new');
  await owner.respond('orders.ask', () => 'yes');
  // The companions, each made by the first message for it.
  await owner.publish('orders.made', 'urgent by the owner', { priority: 'high' });
  await owner.publish('orders.made', 'delayed by the owner', { delay: 10 });
  await owner.publish('orders.made', 'once by the owner', { delivery: 'exactly-once', idempotencyKey: 'a' });
  expect((await owner.request('orders.ask', 1, { timeout: 10_000 })).data).toBe('yes');

  await using app = await connect('app', { provision: 'none' });
  const got: unknown[] = [];
  const live: unknown[] = [];
  await app.subscribe('orders.made', ({ data }) => void live.push(data));
  await app.subscribe(
    'orders.made',
    async (message: Message) => {
      if (message.data === 'again' && message.attempt === 1) throw new Error('once more');
      if (message.data === 'dead') throw new Error('never');
      if (message.data === 'plain') await message.publish('orders.out', 'made in a transaction');
      got.push(message.data);
    },
    { ...GROUP, transaction: true },
  );
  await app.publish('orders.made', 'plain');
  await app.publish('orders.made', 'keyed', { key: 'k' });
  await app.publish('orders.made', 'urgent', { priority: 'high' });
  await app.publish('orders.made', 'later', { delay: 50 });
  await app.publish('orders.made', 'once', { delivery: 'exactly-once', idempotencyKey: 'b' });
  await app.publish('orders.made', 'again');
  await app.publish('orders.made', 'dead');
  const all = ['plain', 'keyed', 'urgent', 'later', 'once', 'again'];
  await vi.waitFor(() => expect(got).toEqual(expect.arrayContaining(all)), 15_000);
  await vi.waitFor(() => expect(live).toEqual(expect.arrayContaining([...all, 'dead'])), 15_000);
  await vi.waitFor(async () => {
    const { items } = await app.deadLetters.list();
    expect(items.map(({ data }) => data)).toEqual(['dead']);
  }, 15_000);
  expect((await app.request('orders.ask', 1, { timeout: 10_000 })).data).toBe('yes');
});

it('says at once what an account may not', async () => {
  await using owner = await connect('owner');
  await owner.admin.ensureGroup('somewhere', 'workers', 'new');
  await using app = await connect('app');
  const missing: unknown = await app.subscribe('nowhere', () => {}, GROUP).catch((error: unknown) => error);
  expect(BusError.is(missing) && !missing.retryable && missing.message).toContain('nowhere');
  await using foreign = await connect('app', { prefix: 'others', provision: 'none' });
  await expect(foreign.publish('orders.made', 1)).rejects.toSatisfy(
    (error: unknown) => ConfigError.is(error) || (BusError.is(error) && !error.retryable),
  );
});

it('says that a topic cannot be emptied where this account may not', async () => {
  await using owner = await connect('owner');
  await owner.admin.ensureTopic('kept.all');
  await using app = await connect('app', { provision: 'none' });
  for (let n = 0; n < 5; n++) await app.publish('kept.all', n);
  const refused: unknown = await app.admin.purge('kept.all').catch((error: unknown) => error);
  expect(ConfigError.is(refused) && refused.message).toContain('may not delete');
  expect((await owner.admin.browse('kept.all', undefined, 10)).records).toHaveLength(5);
  expect(await owner.admin.purge('kept.all')).toBe(5);
});

it('says that a topic cannot be emptied that keeps the last of each key for ever', async () => {
  const topics = { 'kept.latest': { kafkaConfig: { 'cleanup.policy': 'compact' } } };
  await using owner = await connect('owner', { topics });
  await owner.publish('kept.latest', 1, { key: 'a' });
  const refused: unknown = await owner.admin.purge('kept.latest').catch((error: unknown) => error);
  expect(ConfigError.is(refused) && refused.message).toContain('cleanup.policy');
  expect((await owner.admin.browse('kept.latest', undefined, 10)).records).toHaveLength(1);
});
