import { once } from 'node:events';
import { createBus, type Message } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, headers } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

const wait = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time));

it('what was under way of a key when its lane was lost comes again before what is behind it', async () => {
  await using proxy = await server.proxy();
  await using bus = await createBus({
    broker: nats({ url: proxy.url, lease: 24_000 }),
    prefix: 'outage',
    logger: false,
  });
  await using other = await createBus({
    broker: nats({ url: server.url }),
    prefix: 'outage',
    logger: false,
  });
  let losses = 0;
  bus.on('lease.lost', () => losses++);
  const got: string[] = [];
  const handler = async ({ data, attempt, signal }: Message): Promise<void> => {
    got.push(`${data} ${attempt}`);
    if (data === 'first' && attempt === 1) await once(signal, 'abort');
  };
  await bus.subscribe('a', handler, { group: 'g', prefetch: 1 });
  await other.publish('a', 'before', { key: 'k' });
  await expect.poll(() => got, { timeout: 10_000 }).toEqual(['before 1']);
  // Late in the time for which the lane was renewed: the server waits for it longer than the lane lasts.
  await wait(3_000);
  await other.publish('a', 'first', { key: 'k' });
  await expect.poll(() => got, { timeout: 10_000 }).toEqual(['before 1', 'first 1']);
  proxy.cut();
  await other.publish('a', 'second', { key: 'k' });
  await expect.poll(() => losses, { timeout: 20_000 }).toBeGreaterThan(0);
  proxy.restore();
  await expect.poll(() => got, { timeout: 20_000 }).toEqual(['before 1', 'first 1', 'first 2', 'second 1']);
}, 60_000);

it('a member keeps a lane that it wrote down itself, and of which it did not hear', async () => {
  await using bus = await createBus({
    broker: nats({ url: server.url, lease: 3_000 }),
    prefix: 'unheard',
    logger: false,
  });
  let losses = 0;
  bus.on('lease.lost', () => losses++);
  const [end, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await bus.subscribe(
    'a',
    () => {
      begun.resolve();
      return end.promise;
    },
    { group: 'g' },
  );
  await bus.publish('a', 1, { key: 'k' });
  await begun.promise;
  const client = await connect({ servers: server.url });
  const manager = await client.jetstreamManager();
  const lane = { last_by_subj: 'unheard.m.lane.>' };
  const written = await manager.streams.getMessage('unheard', lane);
  const head = headers();
  head.set('Nats-Rollup', 'sub');
  const { seq } = await client.jetstream().publish(written.subject, written.data, { headers: head });
  // Renewed meanwhile.
  await expect
    .poll(async () => (await manager.streams.getMessage('unheard', lane)).seq, { timeout: 5_000 })
    .toBeGreaterThan(seq);
  expect(losses).toBe(0);
  end.resolve();
  await client.close();
  await expect.poll(() => bus.stats().handled, { timeout: 5_000 }).toBe(1);
}, 20_000);

it('who was cut off hears afterwards of a shorter lease of its group', async () => {
  await using proxy = await server.proxy();
  await using long = await createBus({
    broker: nats({ url: proxy.url, lease: 60_000 }),
    prefix: 'shorter',
    logger: false,
  });
  const attempts: number[] = [];
  const handler = async ({ attempt }: { attempt: number }): Promise<void> => {
    attempts.push(attempt);
    await wait(4_000);
  };
  await long.subscribe('a', handler, { group: 'g' });
  proxy.cut();
  await using short = await createBus({
    broker: nats({ url: server.url, lease: 3_000 }),
    prefix: 'shorter',
    logger: false,
  });
  const idle = await short.subscribe('a', handler, { group: 'g' });
  await idle.pause();
  proxy.restore();
  await short.publish('a', 1);
  await expect.poll(() => long.stats().handled, { timeout: 15_000 }).toBe(1);
  expect(attempts).toEqual([1]);
}, 40_000);

it('what waits behind a message of its key does not go on when the lease of that one runs out', async () => {
  await using proxy = await server.proxy();
  const [prefix, logger] = ['behind', false] as const;
  await using bus = await createBus({ broker: nats({ url: proxy.url, lease: 8_000 }), prefix, logger });
  await using other = await createBus({ broker: nats({ url: server.url }), prefix, logger });
  const got: string[] = [];
  await bus.subscribe(
    'a',
    async ({ data, attempt, signal }) => {
      got.push(`${data} ${attempt}`);
      if (data === 'first' && attempt === 1) await once(signal, 'abort');
    },
    { group: 'g' },
  );
  await other.publish('a', 'first', { key: 'k' });
  await expect.poll(() => got, { timeout: 10_000 }).toEqual(['first 1']);
  // Its lease begins later.
  await wait(1_000);
  await other.publish('a', 'second', { key: 'k' });
  await expect.poll(() => bus.stats().delivered, { timeout: 10_000 }).toBe(2);
  let losses = 0;
  bus.on('lease.lost', () => losses++);
  proxy.cut();
  await expect.poll(() => losses, { timeout: 20_000 }).toBeGreaterThan(0);
  await wait(2_000);
  proxy.restore();
  await expect.poll(() => got.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(3);
  // The second one was with core when it was lost: that counts.
  expect(got).toEqual(['first 1', 'first 2', 'second 2']);
}, 90_000);

it('a member that may make nothing keeps to the lease of its group, which is shorter than its own', async () => {
  const [prefix, logger] = ['shorter', false] as const;
  await using made = await createBus({ broker: nats({ url: server.url, lease: 4_000 }), prefix, logger });
  await made.admin.ensureGroup('a', 'g');
  await using bus = await createBus({
    broker: nats({ url: server.url, lease: 120_000 }),
    provision: 'none',
    prefix,
    logger,
  });
  const attempts: number[] = [];
  let done = false;
  await bus.subscribe(
    'a',
    async ({ attempt }) => {
      attempts.push(attempt);
      await wait(6_000);
      done = true;
    },
    { group: 'g', concurrency: 4 },
  );
  await made.publish('a', 1);
  await expect.poll(() => done, { timeout: 20_000 }).toBe(true);
  expect(attempts).toEqual([1]);
}, 60_000);

it('a lane that has lost nothing goes on at once', async () => {
  await using proxy = await server.proxy();
  const [prefix, logger] = ['quiet', false] as const;
  await using other = await createBus({ broker: nats({ url: server.url }), prefix, logger });
  const before: unknown[] = [];
  const first = await other.subscribe('a', ({ data }) => void before.push(data), { group: 'g' });
  await other.publish('a', 1, { key: 'k' });
  await expect.poll(() => before, { timeout: 10_000 }).toEqual([1]);
  await first.unsubscribe();
  await using bus = await createBus({ broker: nats({ url: proxy.url }), prefix, logger });
  const got: unknown[] = [];
  await bus.subscribe('a', ({ data }) => void got.push(data), { group: 'g' });
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const { consumers } = await client.jetstreamManager();
  const [lane] = (await consumers.list(prefix).next()).filter(({ name }) => /-k\d$/.test(name));
  const asks = async (): Promise<number> => (await consumers.info(prefix, lane!.name)).num_waiting;
  await expect.poll(asks, { timeout: 20_000 }).toBeGreaterThan(0);
  for (let n = 0; n < 5; n++) await other.publish('b', n);
  // What waits is moved on over the other topic's messages.
  await other.publish('a', 2);
  await expect.poll(() => got, { timeout: 10_000 }).toEqual([2]);
  proxy.cut();
  proxy.restore();
  await other.publish('a', 3, { key: 'k' });
  const start = Date.now();
  await expect.poll(() => got, { timeout: 30_000 }).toEqual([2, 3]);
  expect(Date.now() - start).toBeLessThan(10_000);
  await client.close();
}, 60_000);
