import { setTimeout } from 'node:timers/promises';
import {
  type Bus,
  ConfigError,
  createBus,
  PublishError,
  silentLogger,
  TimeoutError,
  ValidationError,
} from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { rawKafka, readAll } from './support/client.ts';
import { breaking } from './support/frames.ts';
import { startKafka } from './support/start.ts';

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

const brokers = (): string => `${server.host}:${server.port}`;

const makeBus = (options: KafkaOptions = {}, more: object = {}): Promise<Bus> =>
  createBus({
    broker: kafka({ brokers: brokers(), partitions: 1, ...options }),
    logger: silentLogger,
    ...more,
  });

/** How many messages lie on a Kafka topic. */
async function count(topic: string): Promise<number> {
  const admin = rawKafka(brokers()).admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return ends.reduce((sum, { high }) => sum + Number(high), 0);
}

/** A length of time that is itself what a test is about. */
const pause = (milliseconds: number): Promise<void> => setTimeout(milliseconds);

/** The number of the request that stores messages. */
const PRODUCE = 0;

const causeOf = (error: unknown): unknown =>
  PublishError.is(error as Error) ? (error as PublishError).failures[0]!.error : error;

it('a bus that only publishes finds the partitions that a topic has got', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    await using bus = await makeBus();
    const admin = rawKafka(brokers()).admin();
    await admin.connect();
    await bus.publish('grown', 0);
    await admin.createPartitions({ topicPartitions: [{ topic: 'ambus.grown', count: 6 }] });
    await vi.waitFor(async () => {
      vi.advanceTimersByTime(30_000);
      await Promise.all(Array.from({ length: 20 }, (_, n) => bus.publish('grown', n, { key: `${n}` })));
      const ends = await admin.fetchTopicOffsets('ambus.grown');
      expect(ends.every(({ high }) => high !== '0')).toBe(true);
    }, 5_000);
    await admin.disconnect();
  } finally {
    vi.useRealTimers();
  }
});

it('a batch that times out does not make others come twice', { timeout: 60_000 }, async () => {
  await using bus = await makeBus({ requestTimeout: 1_500 }, { publishTimeout: 3_000 });
  for (const topic of ['twice.a', 'twice.b']) await bus.publish(topic, 0);
  await server.pause();
  const late = bus.publish('twice.a', 1).catch((error: unknown) => error);
  await pause(1_500);
  const kept = bus.publish('twice.b', 1);
  const error = causeOf(await late) as Error;
  await pause(500);
  await server.resume();
  expect(TimeoutError.is(error)).toBe(true);
  await kept;
  for (const topic of ['twice.a', 'twice.b']) await bus.publish(topic, 2);
  const values = async (topic: string) =>
    (await readAll(rawKafka(brokers()), [topic], await count(topic))).map(({ value }) => String(value));
  expect(await values('ambus.twice.b')).toEqual(['0', '1', '2']);
  // What became of this one nobody knows, but it is not there twice, and what follows is in its place.
  const doubtful = await values('ambus.twice.a');
  expect(doubtful.filter((value) => value !== '1')).toEqual(['0', '2']);
  expect(doubtful.filter((value) => value === '1').length).toBeLessThan(2);
});

it('a batch whose answer was lost lies there once for those who still wait', {
  timeout: 60_000,
}, async () => {
  const way = await breaking(server);
  await using bus = await makeBus({ ...way.options, linger: 1_000 }, { publishTimeout: 2_000 });
  await bus.publish('doubt', 0);
  way.at(PRODUCE, 'answer', true);
  const early = bus.publish('doubt', 1).catch((error: unknown) => error);
  await pause(800);
  const late = bus.publish('doubt', 2);
  // One batch, which the server has stored before the first of them gives up.
  expect(TimeoutError.is(causeOf(await early) as Error)).toBe(true);
  expect(way.broken).toBe(true);
  way.restore();
  await late;
  await bus.publish('doubt', 3);
  const found = await readAll(rawKafka(brokers()), ['ambus.doubt'], await count('ambus.doubt'));
  expect(found.map(({ value }) => String(value))).toEqual(['0', '1', '2', '3']);
  await bus.close();
  await way.close();
});

it('a message that the server refuses does not take its batch with it', async () => {
  await using bus = await makeBus({ linger: 50 }, { topics: { compacted: { compact: true } } });
  await bus.publish('compacted', 0, { key: 'k' });
  const items = [1, 2, 3, 4, 5].map((data) => ({
    topic: 'compacted',
    data,
    ...(data === 4 ? undefined : { key: `k${data}` }),
  }));
  const error = await bus.publishMany(items).catch((failure: unknown) => failure);
  const { failures } = error as PublishError;
  expect(failures.map(({ index, error }) => [index, ValidationError.is(error), error.retryable])).toEqual([
    [3, true, false],
  ]);
  const found = await readAll(rawKafka(brokers()), ['ambus.compacted'], 5);
  expect(found.map(({ value }) => Number(value))).toEqual([0, 1, 2, 3, 5]);
});

it('a delay that a topic of somebody else does not take is refused with what to set', async () => {
  const admin = rawKafka(brokers()).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'ambus.strict.-d' }], waitForLeaders: true });
  await admin.disconnect();
  await using bus = await makeBus();
  const items = [7_200_000, 1_000].map((delay) => ({ topic: 'strict', data: delay, delay }));
  const { failures } = (await bus.publishMany(items).catch((failure: unknown) => failure)) as PublishError;
  expect(failures.map(({ index, error }) => [index, ConfigError.is(error), error.message])).toEqual([
    [0, true, expect.stringMatching(/message\.timestamp\.after\.max\.ms.*"ambus\.strict\.-d"/)],
  ]);
});

describe('linger', () => {
  it('collects for that long, and no longer', async () => {
    await using bus = await makeBus({ linger: 120 });
    await bus.publish('linger.age', 0);
    const began = performance.now();
    await Promise.all([1, 2, 3].map((n) => bus.publish('linger.age', n)));
    const took = performance.now() - began;
    expect([took >= 115, took < 1_000]).toEqual([true, true]);
  });

  it('ends when a batch is full', async () => {
    await using bus = await makeBus({ linger: 4_000, batchBytes: 10_000 });
    await bus.connect();
    const began = performance.now();
    const first = bus.publish('linger.size', 'x'.repeat(6_000));
    // A call of its own: what core joins into one resolves together.
    await pause(20);
    const second = bus.publish('linger.size', 'x'.repeat(6_000));
    await first;
    expect(performance.now() - began).toBeLessThan(3_000);
    // It did not fit, and waits for more.
    await second;
    expect(performance.now() - began).toBeGreaterThan(3_900);
  });
});

describe('a topic that is not there', () => {
  it.each(['none', 'check'] as const)('is refused in less than a second with "%s"', async (provision) => {
    await using maker = await makeBus();
    await maker.connect();
    await using bus = await makeBus({}, { provision });
    await bus.connect();
    const began = Date.now();
    const error = causeOf(await bus.publish(`nowhere.${provision}`, 1).catch((failure: unknown) => failure));
    expect([ConfigError.is(error as Error), String(error)]).toEqual([
      true,
      expect.stringContaining(`nowhere.${provision}`),
    ]);
    expect(Date.now() - began).toBeLessThan(1_000);
  });

  it('any more is refused, too, where it may not be made again', async () => {
    await using maker = await makeBus();
    await maker.publish('deleted.later', 1);
    await using bus = await makeBus({}, { provision: 'none' });
    await bus.publish('deleted.later', 2);
    await maker.admin.deleteTopic('deleted.later');
    const error = causeOf(await bus.publish('deleted.later', 3).catch((failure: unknown) => failure));
    expect(ConfigError.is(error as Error)).toBe(true);
  });
});

it('acks of the leader alone do', async () => {
  await using bus = await makeBus({ acks: 'leader' });
  await Promise.all(Array.from({ length: 50 }, (_, n) => bus.publish('acks.leader', n, { key: 'k' })));
  const found = await readAll(rawKafka(brokers()), ['ambus.acks.leader'], 50);
  expect(found.map(({ value }) => Number(value))).toEqual(Array.from({ length: 50 }, (_, n) => n));
});

it('replies reach a partition that the topic of replies got back', { timeout: 60_000 }, async () => {
  const buses = await Promise.all(Array.from({ length: 6 }, () => makeBus({}, { prefix: 'again' })));
  await buses[0]!.respond('again.ask', ({ data }) => data);
  // With six of them some read other partitions than the first.
  for (const bus of buses) await bus.request('again.ask', 1);
  const admin = rawKafka(brokers()).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: ['again.-replies'] });
  await vi.waitFor(
    () =>
      admin
        .createTopics({ topics: [{ topic: 'again.-replies', numPartitions: 1 }], waitForLeaders: false })
        .catch(() => {}),
    5_000,
  );
  await admin.disconnect();
  for (const bus of buses) {
    const answer = vi.waitFor(() => bus.request('again.ask', 2, { timeout: 1_000 }), 20_000);
    expect((await answer).data).toBe(2);
  }
  await Promise.all(buses.map((bus) => bus.close()));
});
