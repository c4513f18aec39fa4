import { setTimeout } from 'node:timers/promises';
import { type Bus, createBus, ValidationError } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { KafkaBroker } from '../src/broker.ts';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { rawKafka } from './support/client.ts';
import { startKafka } from './support/start.ts';

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

async function makeBus(options: KafkaOptions = {}): Promise<{ bus: Bus; broker: KafkaBroker }> {
  const broker = kafka({ brokers: `${server.host}:${server.port}`, partitions: 3, ...options });
  return { broker, bus: await createBus({ broker }) };
}

const bodiesOf = (records: readonly { record: { body: Uint8Array } }[]): number[] =>
  records.map(({ record }) => Number(Buffer.from(record.body).toString()));

/** All pages of a topic. */
async function pages({ admin }: KafkaBroker, topic: string, limit: number): Promise<number[][]> {
  const found: number[][] = [];
  let cursor: string | undefined;
  do {
    const page = await admin.browse(topic, cursor, limit);
    found.push(bodiesOf(page.records));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

describe('browse', () => {
  it('gives each message once, over all partitions and kinds, page by page', async () => {
    const { bus, broker } = await makeBus();
    for (let n = 0; n < 20; n++) await bus.publish('pages', n, n % 5 === 0 ? { priority: 'high' } : {});
    const found = await pages(broker, 'pages', 6);
    expect(found.map(({ length }) => length)).toEqual([6, 6, 6, 2]);
    // Those of one millisecond may come in any order.
    expect(found.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await bus.close();
  });

  it('reads only the page, and holds little of a topic with large messages', {
    timeout: 60_000,
  }, async () => {
    const { bus, broker } = await makeBus({ maxBytesPerPartition: 100_000 });
    const body = 'x'.repeat(50_000);
    for (let n = 0; n < 10; n++) {
      await Promise.all(Array.from({ length: 30 }, () => bus.publish('large', body)));
    }
    const { admin } = broker;
    const first = await admin.browse('large', undefined, 5);
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }, 1);
    const began = performance.now();
    const second = await admin.browse('large', first.cursor, 5);
    const took = performance.now() - began;
    clearInterval(timer);
    expect([first.records.length, second.records.length]).toEqual([5, 5]);
    // 15 MB lie there.
    expect([most < 10_000_000, took < 1_000]).toEqual([true, true]);
    await bus.close();
  });

  it('leaves out what was removed or taken back, also by another bus', async () => {
    const { bus, broker } = await makeBus();
    const other = await makeBus();
    for (let n = 0; n < 6; n++) await bus.publish('removed', n);
    const taken = await bus.publish('removed', 6, { delay: 1_500 });
    await bus.publish('removed', 7, { delay: 1_500 });
    expect((await broker.admin.browse('removed', undefined, 10)).records).toHaveLength(6);
    expect(await other.bus.cancel(taken)).toBe(true);
    const { records } = await other.broker.admin.browse('removed', undefined, 10);
    const positions = records.slice(1, 3).map(({ position }) => position);
    expect(await other.broker.admin.remove('removed', [...positions, 'ambus.removed/0/999', 'x'])).toBe(2);
    expect(await broker.admin.remove('removed', positions)).toBe(0);
    await vi.waitFor(
      async () => expect((await pages(broker, 'removed', 3)).flat().toSorted()).toEqual([0, 3, 4, 5, 7]),
      5_000,
    );
    await Promise.all([bus.close(), other.bus.close()]);
  });

  it('refuses a cursor that is none', async () => {
    const { bus, broker } = await makeBus();
    await bus.publish('cursor', 1);
    for (const cursor of ['x', '', 'main.0', 'q.0.1', 'main.0.1~']) {
      const error = await broker.admin.browse('cursor', cursor, 1).catch((failure: unknown) => failure);
      expect(ValidationError.is(error as Error), cursor).toBe(true);
    }
    await bus.close();
  });
});

describe('depth', () => {
  it('of few messages is exact, of many does not read them', { timeout: 60_000 }, async () => {
    const { bus, broker } = await makeBus();
    await Promise.all(Array.from({ length: 10 }, (_, n) => bus.publish('few', n)));
    const { records } = await broker.admin.browse('few', undefined, 3);
    await broker.admin.remove('few', [records[1]!.position]);
    for (let n = 0; n < 4; n++) {
      await Promise.all(Array.from({ length: 1_500 }, () => bus.publish('many', n)));
    }
    const listed = await broker.admin.listTopics();
    const of = (name: string) => listed.find(({ topic }) => topic === name)?.depth;
    expect([of('few'), of('many')]).toEqual([9, 6_000]);
    expect(await bus.admin.purge('few')).toBe(9);
    expect(await bus.admin.purge('many')).toBe(6_000);
    expect((await broker.admin.listTopics()).find(({ topic }) => topic === 'many')?.depth).toBe(0);
    await bus.close();
  });
});

describe('topics of others', () => {
  it('are found within two seconds under a pattern', async () => {
    const { bus } = await makeBus();
    const seen: string[] = [];
    await bus.subscribe('made.by.*', ({ topic }) => void seen.push(topic), { group: 'g' });
    const client = rawKafka(`${server.host}:${server.port}`);
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({
      topics: [{ topic: 'ambus.made.by.hand', numPartitions: 2 }],
      waitForLeaders: true,
    });
    await admin.disconnect();
    const producer = client.producer();
    await producer.connect();
    await producer.send({ topic: 'ambus.made.by.hand', messages: [{ value: 'x' }] });
    await vi.waitFor(() => expect(seen).toEqual(['made.by.hand']), 2_000);
    await producer.disconnect();
    await bus.close();
  });

  it('that get partitions are read to the last of them by a live subscription', async () => {
    const { bus } = await makeBus();
    const seen: unknown[] = [];
    await bus.publish('grows', 0);
    await bus.subscribe(
      'grows',
      ({ data }) => void seen.push(Number(Buffer.from(data as Uint8Array).toString())),
    );
    const client = rawKafka(`${server.host}:${server.port}`);
    const admin = client.admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic: 'ambus.grows', count: 5 }] });
    await admin.disconnect();
    const producer = client.producer();
    await producer.connect();
    await producer.send({ topic: 'ambus.grows', messages: [{ value: '4', partition: 4 }] });
    await vi.waitFor(() => expect(seen).toEqual([4]), 4_000);
    await producer.disconnect();
    await bus.close();
  });
});

it('what is deleted on purpose is no loss', async () => {
  const { bus } = await makeBus();
  const other = await makeBus();
  const warnings: unknown[] = [];
  for (const one of [bus, other.bus]) one.on('warning', (event) => warnings.push(event));
  const seen: unknown[] = [];
  await other.bus.subscribe('on.purpose', ({ data }) => void seen.push(data), { group: 'g' });
  await bus.publish('on.purpose', 1);
  await vi.waitFor(() => expect(seen).toEqual([1]), 5_000);
  expect(await bus.admin.deleteTopic('on.purpose')).toBe(true);
  await bus.publish('on.purpose', 2);
  await vi.waitFor(() => expect(seen).toEqual([1, 2]), 10_000);
  expect(warnings).toEqual([]);
  await Promise.all([bus.close(), other.bus.close()]);
});

it('what is deleted on purpose is not made again for those who read it, but for who publishes', async () => {
  const { bus } = await makeBus();
  const other = await makeBus();
  const seen: unknown[] = [];
  await other.bus.subscribe('stays.away', ({ data }) => void seen.push(`group ${data}`), { group: 'g' });
  await other.bus.subscribe('stays.away', ({ data }) => void seen.push(`live ${data}`));
  await other.bus.subscribe('goes.by.itself', () => {}, { group: 'g' });
  const admin = rawKafka(`${server.host}:${server.port}`).admin();
  await admin.connect();
  const there = async (topic: string) => (await admin.listTopics()).includes(`ambus.${topic}`);
  expect(await bus.admin.deleteTopic('stays.away')).toBe(true);
  // As long as it takes to miss it.
  await setTimeout(3_000);
  expect(await there('stays.away')).toBe(false);
  // Nor when others are missed that nobody has deleted so.
  await admin.deleteTopics({ topics: ['ambus.goes.by.itself'] });
  await vi.waitFor(async () => expect(await there('goes.by.itself')).toBe(true), 10_000);
  expect(await there('stays.away')).toBe(false);
  await bus.publish('stays.away', 1);
  await vi.waitFor(() => expect(seen.toSorted()).toEqual(['group 1', 'live 1']), 10_000);
  await admin.disconnect();
  await Promise.all([bus.close(), other.bus.close()]);
});

it('what is published at once to a topic that was deleted on purpose reaches whoever reads it', async () => {
  const { bus } = await makeBus({ partitions: 1 });
  const other = await makeBus({ partitions: 1 });
  const warnings: unknown[] = [];
  for (const one of [bus, other.bus]) one.on('warning', (event) => warnings.push(event));
  const seen: unknown[] = [];
  for (const options of [{ group: 'g' }, {}])
    await other.bus.subscribe('at.once', ({ data }) => void seen.push(data), options);
  await bus.publish('at.once', 1);
  await vi.waitFor(() => expect(seen).toEqual([1, 1]), 5_000);
  expect(await bus.admin.deleteTopic('at.once')).toBe(true);
  // More than lay there before.
  await Promise.all([2, 3, 4].map((data) => bus.publish('at.once', data)));
  await vi.waitFor(() => expect(seen.toSorted()).toEqual([1, 1, 2, 2, 3, 3, 4, 4]), 10_000);
  expect(warnings).toEqual([]);
  await Promise.all([bus.close(), other.bus.close()]);
});
