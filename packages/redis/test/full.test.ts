import { type Clock, systemClock } from '@ambus/core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterEach(() => w.raw.config('SET', 'maxmemory', '0'));
afterAll(() => w.close());

/** For what is done every minute. */
const hurried: Clock = {
  now: () => systemClock.now(),
  setTimeout: (callback, delay) => systemClock.setTimeout(callback, delay === 60_000 ? 50 : delay),
  clearTimeout: (timer) => systemClock.clearTimeout(timer),
};
const topics = { '#': { retention: { maxMessages: 20 } } };
const length = (topic: string): Promise<number> => w.raw.xlen(`{${w.prefix}.0}:stream:${topic}:2`);
/** Lets a bus that was not the last to do so trim, too. */
const trims = (): Promise<number> => w.raw.del(`{${w.prefix}.0}:trimmed:0`);

async function fill(more: number): Promise<void> {
  const used = Number(/used_memory:(\d+)/.exec(await w.raw.info('memory'))![1]);
  await w.raw.config('SET', 'maxmemory', `${used + more}`);
}

test('a full server is emptied by who works off its backlog, and takes publishes again', async () => {
  const publisher = await w.bus({}, { topics });
  await publisher.admin.ensureGroup('full', 'g', 'earliest');
  await fill(8 * 1024 * 1024);
  const body = 'x'.repeat(20_000);
  const publish = async (): Promise<unknown> =>
    publisher.publish('full', body).then(
      () => undefined,
      (error: unknown) => error,
    );
  let refused: unknown;
  while (refused === undefined) refused = await publish();
  expect(String(refused)).toContain('OOM');
  const stored = await length('full');
  expect(stored).toBeGreaterThan(100);

  const consumer = await w.bus({}, { topics, clock: hurried });
  let got = 0;
  await consumer.subscribe('full', () => void got++, { group: 'g' });
  await consumer.subscribe('full.#', () => {});
  await until(() => got === stored);
  await until(async () => (await trims()) >= 0 && (await publish()) === undefined);
  await until(() => got === stored + 1);
  expect(await length('full')).toBeLessThanOrEqual(23);
});

test('members that are there already keep their leases while the server is full', async () => {
  const bus = await w.bus({ lease: 1_000 });
  let lost = 0;
  bus.on('lease.lost', () => void lost++);
  const held = Promise.withResolvers<void>();
  let got = 0;
  const handler = async (): Promise<void> => {
    got++;
    await held.promise;
  };
  await bus.subscribe('leased', handler, { group: 'g', concurrency: 2 });
  await bus.publish('leased', 1);
  await bus.publish('leased', 2, { delay: 1_000 });
  await until(() => got === 1);
  await fill(-1_000_000);
  await until(() => got === 2);
  const members = `{${w.prefix}.0}:members:g|leased`;
  const [, end] = await w.raw.zrange(members, 0, 0, 'WITHSCORES');
  await until(async () => Number((await w.raw.zrange(members, 0, 0, 'WITHSCORES'))[1]) > Number(end));
  expect(lost).toBe(0);
  held.resolve();
});

test('what is too old goes also where nobody publishes any more, and what is too many in the end', async () => {
  const bus = await w.bus({}, { topics: { 'old.*': { retention: { maxAge: 200 } } } });
  await bus.publish('old.a', 1);
  await bus.publish('old.a', 2);
  await bus.admin.ensureGroup('old.b', 'g', 'earliest');
  await bus.publish('old.b', 1);
  const small = await w.bus({}, { topics });
  await small.publish('many', 0);
  const stream = `{${w.prefix}.0}:stream:many:2`;
  for (let n = 0; n < 5_000; n++) w.raw.xadd(stream, '*', 'data', '1');
  await w.raw.ping();
  await trims();
  await (await w.bus({}, { clock: hurried })).connect();
  await until(async () => (await trims()) >= 0 && (await length('old.a')) === 0);
  await until(async () => (await length('many')) <= 22);
  expect(await length('old.b')).toBe(1);
});

test('a large message that is not stored does not take small ones with it', async () => {
  const bus = await w.bus({}, { topics: { 'flying.#': { durability: 'ephemeral' } } });
  const got: string[] = [];
  await bus.subscribe<string>('flying.a', ({ data }) => void got.push(data.slice(0, 5)));
  await fill(-1_000_000);
  const all = ['x'.repeat(100_000), 'small'].map((data) => ({ topic: 'flying.a', data }));
  const error = await bus.publishMany(all).catch((one: unknown) => one);
  expect(error).toMatchObject({ failures: [{ index: 0 }] });
  await until(() => got.length > 0);
  expect(got).toEqual(['small']);
});
