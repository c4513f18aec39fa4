import { type Bus, type BusOptions, ConfigError, createBus, UnsupportedError } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NatsOptions, nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

let prefixes = 0;

/** A bus on a stream of its own. */
const busOf = (options: NatsOptions, more: Partial<BusOptions> = {}): Promise<Bus> =>
  createBus({ broker: nats({ url: server.url, ...options }), prefix: `p${prefixes++}`, ...more });

async function collect(bus: Bus, topic: string, group?: string): Promise<unknown[]> {
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), group === undefined ? {} : { group });
  return got;
}

const topicsOf = async (bus: Bus): Promise<string[]> =>
  (await bus.admin.listTopics()).map(({ topic }) => topic).toSorted();

const configOf = async (bus: Bus, name: string): Promise<object> =>
  (await (await (bus.native() as NatsConnection).jetstreamManager()).streams.info(name)).config;

const depthOf = async (bus: Bus, topic: string): Promise<number | undefined> =>
  (await bus.admin.listTopics()).find((one) => one.topic === topic)?.depth;

/** Publishes what fails at once, and waits until it lies among the dead letters. */
async function deadLetter(bus: Bus, topic: string): Promise<void> {
  const stop = await bus.subscribe(
    topic,
    () => {
      throw new Error('never');
    },
    { group: 'fails', retry: { maxRetries: 0 } },
  );
  await bus.publish(topic, 'dead');
  await expect.poll(async () => (await bus.deadLetters.list()).items.length, { timeout: 10_000 }).toBe(1);
  await stop.unsubscribe();
}

it.each(['file', 'memory'] as const)('makes its stream as it is told, on %s', async (storage) => {
  await using bus = await busOf({ stream: { name: `own-${storage}`, storage, maxBytes: 10 * 1024 * 1024 } });
  const got = await collect(bus, 'a', 'g');
  await bus.publish('a', 1);
  await bus.publish('a', 2, { key: 'k' });
  await expect.poll(() => got.length, { timeout: 10_000 }).toBe(2);
  expect(await configOf(bus, `own-${storage}`)).toMatchObject({ storage, max_bytes: 10 * 1024 * 1024 });
});

it('says where a stream that is there is not what it is told to make', async () => {
  const stream = { name: 'told', storage: 'memory', maxMessages: 1_000 } as const;
  const warnings: string[] = [];
  const ignore = (): void => {};
  const warn = (_: object, message: string): void => void warnings.push(message);
  const logger = { debug: ignore, info: ignore, error: ignore, warn };
  const prefix = `p${prefixes++}`;
  await using maker = await busOf({ stream }, { prefix, logger });
  await maker.publish('a', 1);
  expect(warnings).toEqual([]);
  const told = { ...stream, storage: 'file', replicas: 1, maxMessages: 2_000 } as const;
  await using bus = await busOf({ stream: told }, { prefix, logger });
  const got = await collect(bus, 'a', 'g');
  await bus.publish('a', 2);
  await expect.poll(() => got).toEqual([2]);
  expect(warnings).toEqual([
    expect.stringContaining('storage is memory instead of file, maxMessages is 1000 instead of 2000'),
  ]);
});

describe('what the stream removes', () => {
  it('by age is no delayed message, no topic and no dead letter', async () => {
    await using bus = await busOf({ stream: { maxAge: 1_000 } }, { deduplicationWindow: 500 });
    await deadLetter(bus, 'fragile');
    const got = await collect(bus, 'aged', 'g');
    await bus.publish('aged', 'late', { delay: 2_500 });
    await expect.poll(() => got, { timeout: 15_000 }).toEqual(['late']);
    await expect.poll(() => depthOf(bus, 'aged'), { timeout: 10_000 }).toBe(0);
    expect(await depthOf(bus, 'fragile')).toBe(0);
    expect((await bus.deadLetters.list()).items.length).toBe(1);
    expect(await topicsOf(bus)).toEqual(expect.arrayContaining(['aged', 'fragile']));
  });

  it('by count is no delayed message and no topic', async () => {
    await using bus = await busOf({ stream: { maxMessages: 3 } });
    await bus.admin.ensureGroup('late', 'g', 'new');
    await bus.publish('late', 'late', { delay: 700 });
    for (let n = 0; n < 10; n++) await bus.publish('counted', n);
    expect(await depthOf(bus, 'counted')).toBe(3);
    expect(await topicsOf(bus)).toEqual(['counted', 'late']);
    const got = await collect(bus, 'late', 'g');
    await expect.poll(() => got, { timeout: 10_000 }).toEqual(['late']);
  });

  it('is made known where a key would be forgotten too early', async () => {
    await using bus = await busOf({ stream: { maxAge: 1_000 } });
    await bus.publish('keys', 1);
    const once = { delivery: 'exactly-once', idempotencyKey: 'a' } as const;
    const failed = bus.publish('keys', 2, once);
    await expect(failed).rejects.toThrow('deduplicationWindow');
    await expect(failed).rejects.toSatisfy(ConfigError.is);
  });

  it('is refused where the bus keeps its own records in it', async () => {
    const client = await connect({ servers: `127.0.0.1:${server.port}` });
    const prefix = `p${prefixes++}`;
    const manager = await client.jetstreamManager();
    await manager.streams.add({ name: prefix, subjects: [`${prefix}.>`], max_msgs: 2 });
    await using bus = await busOf({}, { prefix });
    const failed = bus.publish('a', 1);
    await expect(failed).rejects.toThrow('max_msgs');
    await expect(failed).rejects.toSatisfy(ConfigError.is);
    // What it says is to be done.
    await manager.streams.update(prefix, { subjects: [`${prefix}.t.>`] });
    await client.close();
    for (let n = 0; n < 5; n++) await bus.publish('a', n);
    expect(await topicsOf(bus)).toEqual(['a']);
    expect(await depthOf(bus, 'a')).toBe(2);
  });
});

it('refuses a stream that does not take its subjects', async () => {
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  await (await client.jetstreamManager()).streams.add({ name: 'other', subjects: ['other.>'] });
  await client.close();
  await using bus = await busOf({ stream: { name: 'other' } });
  const failed = bus.publish('a', 1);
  await expect(failed).rejects.toThrow(/stream "other".*\.t\.>/);
  await expect(failed).rejects.toSatisfy(ConfigError.is);
});

it.each([
  { max_msgs_per_subject: 2 },
  { no_ack: true },
  { sealed: true },
  { deny_delete: true },
  { deny_purge: true, allow_rollup_hdrs: false },
])('refuses a stream that removes or forbids what the bus needs: %o', async (config) => {
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const prefix = `p${prefixes++}`;
  const all = { name: prefix, subjects: [`${prefix}.>`], storage: 'file', allow_rollup_hdrs: true };
  // Sealed it can only become later.
  for (const more of [
    { ...config, sealed: false },
    { ...config, allow_rollup_hdrs: false },
  ]) {
    const to = `$JS.API.STREAM.${more.sealed === false ? 'CREATE' : 'UPDATE'}.${prefix}`;
    await client.request(to, JSON.stringify({ ...all, ...more }));
  }
  await client.close();
  await using bus = await busOf({}, { prefix });
  const failed = bus.publish('a', 1);
  await expect(failed).rejects.toThrow(new RegExp(`stream "${prefix}" has ${Object.keys(config)[0]}`));
  await expect(failed).rejects.toSatisfy(ConfigError.is);
});

describe('retention by interest', () => {
  it('keeps what a group waits for, of each class, delayed too', async () => {
    await using bus = await busOf({ stream: { retention: 'interest' } });
    const first = await bus.subscribe('a', () => {}, { group: 'g' });
    await first.unsubscribe();
    await bus.publish('a', 'plain');
    await bus.publish('a', 'keyed', { key: 'k' });
    await bus.publish('a', 'urgent', { priority: 'critical' });
    await bus.publish('a', 'late', { delay: 500 });
    await bus.publish('nobody', 'gone');
    const got = await collect(bus, 'a', 'g');
    await expect
      .poll(() => got.toSorted(), { timeout: 15_000 })
      .toEqual(['keyed', 'late', 'plain', 'urgent']);
    await expect.poll(() => depthOf(bus, 'a'), { timeout: 10_000 }).toBe(0);
    expect(await depthOf(bus, 'nobody')).toBe(0);
    const live = await collect(bus, 'a');
    await bus.publish('a', 'seen');
    await expect.poll(() => live).toEqual(['seen']);
  });

  it('keeps dead letters until they are replayed', async () => {
    await using bus = await busOf({ stream: { retention: 'interest' } });
    await deadLetter(bus, 'fragile');
    const got = await collect(bus, 'fragile', 'fails');
    await bus.deadLetters.replay({});
    await expect.poll(() => got, { timeout: 10_000 }).toEqual(['dead']);
    expect((await bus.deadLetters.list()).items).toEqual([]);
  });
});

describe('retention as a work queue', () => {
  it('keeps each message until its group is done with it', async () => {
    await using bus = await busOf({ stream: { retention: 'workqueue' } });
    await bus.publish('a', 'before');
    const got = await collect(bus, 'a', 'g');
    await bus.publish('a', 'keyed', { key: 'k' });
    await bus.publish('a', 'urgent', { priority: 'critical' });
    await bus.publish('a', 'late', { delay: 500 });
    await expect
      .poll(() => got.toSorted(), { timeout: 15_000 })
      .toEqual(['before', 'keyed', 'late', 'urgent']);
    await expect.poll(() => depthOf(bus, 'a'), { timeout: 10_000 }).toBe(0);
    await deadLetter(bus, 'fragile');
    expect((await bus.admin.group('a', 'g'))?.depth).toBe(0);
  });

  it('refuses a second group, and a subscription without one', async () => {
    await using bus = await busOf({ stream: { retention: 'workqueue' } });
    await collect(bus, 'a.*', 'g');
    const second = collect(bus, 'a.b', 'h');
    await expect(second).rejects.toSatisfy(UnsupportedError.is);
    await expect(second).rejects.toThrow('"h"');
    await expect(collect(bus, 'a.b')).rejects.toSatisfy(UnsupportedError.is);
    await collect(bus, 'b.*', 'h');
  });

  it('refuses a group whose consumer would take the messages of others', async () => {
    await using bus = await busOf({ stream: { retention: 'workqueue' } });
    const several = collect(bus, '#.b.#', 'g');
    await expect(several).rejects.toSatisfy(UnsupportedError.is);
    await expect(several).rejects.toThrow('use a pattern with one "#"');
    await collect(bus, '#.b', 'g');
  });

  it('refuses it also where only an older server cannot tell them apart', async () => {
    await using old = await startServer('nats', { version: '2.11', quiet: true });
    await using bus = await busOf({ url: old.url, stream: { retention: 'workqueue' } });
    const behind = collect(bus, '#.b', 'g');
    await expect(behind).rejects.toSatisfy(UnsupportedError.is);
    await expect(behind).rejects.toThrow('2.11.12');
    await collect(bus, 'a.#', 'g');
  });
});

it('starts anew when only what it keeps for itself is lost', async () => {
  await using bus = await busOf({ stream: { name: 'half', maxMessages: 100 } });
  const got = await collect(bus, 'a', 'g');
  await bus.publish('a', 1);
  const manager = await (bus.native() as NatsConnection).jetstreamManager();
  await manager.streams.delete('half-own');
  await bus.publish('a', 2, { delay: 300 });
  await expect.poll(() => got, { timeout: 15_000 }).toEqual([1, 2]);
});
