import { randomBytes } from 'node:crypto';
import { type Bus, type BusOptions, createBus } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { type Breaking, breaking, type Side } from './support/frames.ts';
import { startKafka } from './support/start.ts';

/** Requests of a transaction, by their keys. */
const STEPS = [
  ['AddPartitionsToTxn', 24],
  ['Produce', 0],
  ['AddOffsetsToTxn', 25],
  ['TxnOffsetCommit', 28],
  ['EndTxn', 26],
] as const;
const SIDES: readonly Side[] = ['request', 'answer'];
const BREAKS = STEPS.flatMap(([name, key]) => SIDES.map((side) => ({ name, key, side })));

async function until(condition: () => unknown, timeout = 15_000): Promise<void> {
  const end = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${timeout} ms in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe.each(['4.3', '3.9'] as const)('Kafka %s', (version) => {
  const prefix = `tx${randomBytes(4).toString('hex')}`;
  const buses: Bus[] = [];
  const ways: Breaking[] = [];
  let server: Server;

  beforeAll(async () => {
    server = await startKafka({ version });
  });
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close({ timeout: 100 })));
    await Promise.all(ways.map((way) => way.close()));
    await server.close();
  });

  async function newBus(options: KafkaOptions = {}, own: Partial<BusOptions> = {}): Promise<Bus> {
    const broker = kafka({ brokers: `${server.host}:${server.port}`, partitions: 2, ...options });
    const bus = await createBus({ broker, prefix, logger: false, ...own });
    buses.push(bus);
    return bus;
  }

  async function newWay(): Promise<Breaking> {
    const way = await breaking(server);
    ways.push(way);
    return way;
  }

  async function collect(bus: Bus, topic: string, group?: string): Promise<unknown[]> {
    const got: unknown[] = [];
    await bus.subscribe(topic, ({ data }) => void got.push(data), { group });
    return got;
  }

  /** What comes twice comes before this does. */
  async function marked(bus: Bus, topic: string, got: readonly unknown[]): Promise<void> {
    await Promise.all(Array.from({ length: 4 }, (_, n) => bus.publish(topic, `marker ${n}`)));
    await until(() => got.filter((data) => String(data).startsWith('marker')).length >= 4, 30_000);
  }

  test('what another program aborts is read by no subscription, and nothing stops at its marks', async () => {
    const bus = await newBus();
    const live = await collect(bus, 'aborted');
    const grouped = await collect(bus, 'aborted', 'g');
    const client = new Kafka({ brokers: [`${server.host}:${server.port}`], logLevel: logLevel.NOTHING });
    const producer = client.producer({ transactionalId: `${prefix}-raw`, maxInFlightRequests: 1 });
    await producer.connect();
    const wanted: string[] = [];
    for (let n = 0; n < 12; n++) {
      const transaction = await producer.transaction();
      for (const partition of [0, 1]) {
        const value = JSON.stringify(`${n} ${partition}`);
        const headers = { 'content-type': 'application/json' };
        await transaction.send({ topic: `${prefix}.aborted`, messages: [{ partition, value, headers }] });
        if (n % 3 === 0) wanted.push(`${n} ${partition}`);
      }
      await (n % 3 === 0 ? transaction.commit() : transaction.abort());
    }
    await producer.disconnect();
    await marked(bus, 'aborted', live);
    await until(() => grouped.length >= wanted.length + 4);
    const all = [...wanted, ...[0, 1, 2, 3].map((n) => `marker ${n}`)].toSorted();
    expect(live.toSorted()).toEqual(all);
    expect(grouped.toSorted()).toEqual(all);
    await until(async () => (await bus.admin.group('aborted', 'g'))?.depth === 0);
  });

  test('what the server never takes ends as a dead letter, and others are handled', async () => {
    const topics = [{ pattern: 'small', kafkaConfig: { 'max.message.bytes': '2000' } }];
    const bus = await newBus({}, { topics });
    const warnings: string[] = [];
    bus.on('warning', ({ message }) => warnings.push(message));
    const out = await collect(bus, 'small');
    const letters: unknown[] = [];
    const attempts: number[] = [];
    await bus.subscribe('large.dead', ({ data }) => void letters.push(data), { group: 'g' });
    await bus.subscribe<string>(
      'large',
      async (message) => {
        if (message.data.length > 2_000) attempts.push(message.attempt);
        await message.publish('small', message.data);
      },
      {
        group: 'g',
        transaction: true,
        retry: { maxRetries: 2, initialDelay: 10 },
        deadLetter: { topic: 'large.dead' },
      },
    );
    const large = randomBytes(5_000).toString('hex');
    await bus.publish('large', 'before');
    await until(() => out.includes('before'));
    await bus.publish('large', large);
    await until(() => letters.length === 1);
    expect(letters).toEqual([large]);
    expect(attempts).toEqual([1, 2, 3]);
    expect(warnings.length).toBeGreaterThan(0);
    await bus.publish('large', 'after');
    await until(() => out.includes('after'));
    expect(out).toEqual(['before', 'after']);
  });

  test('a handler may publish more than fits one batch, and to many topics', async () => {
    const bus = await newBus({ partitions: 1, compression: 'gzip' });
    const out = await collect(bus, 'much.#');
    await bus.subscribe(
      'little',
      async (message) => {
        for (let n = 0; n < 30; n++) {
          const data = { n, text: randomBytes(60_000).toString('hex') };
          await message.publish(`much.${n % 3}`, data, { key: 'k' });
        }
      },
      { group: 'g', transaction: true },
    );
    await bus.publish('little', 1);
    await until(() => out.length >= 30);
    const order = out.map((data) => (data as { n: number }).n);
    for (const topic of [0, 1, 2]) {
      const own = order.filter((n) => n % 3 === topic);
      expect(own).toEqual(Array.from({ length: 10 }, (_, n) => 3 * n + topic));
    }
  });

  test.concurrent.each(BREAKS)(
    'a connection that breaks at the $side of $name: one output',
    async (at) => {
      const { name, key, side } = at;
      const topic = `once.${name}.${side}`;
      const bus = await newBus();
      const out = await collect(bus, `${topic}.out`);
      const way = await newWay();
      const consumer = await newBus(way.options);
      let attempts = 0;
      await consumer.subscribe(
        topic,
        async (message) => {
          attempts++;
          await message.publish(`${topic}.out`, message.data);
          await message.publish(`${topic}.out`, `${message.data} too`, { key: 'k' });
          if ((message.data as number) % 2 === 0) way.at(key, side, false);
        },
        { group: 'g', transaction: true },
      );
      for (let n = 0; n < 6; n++) {
        await bus.publish(topic, n);
        await until(() => out.includes(n) && out.includes(`${n} too`), 30_000);
      }
      expect(way.broken).toBe(true);
      await marked(bus, `${topic}.out`, out);
      expect(out.length).toBe(16);
      expect(attempts).toBe(6);
      await until(async () => (await bus.admin.group(topic, 'g'))?.depth === 0);
    },
    60_000,
  );

  test.concurrent.each(BREAKS)(
    'a member that dies at the $side of $name: one output',
    async (at) => {
      const { name, key, side } = at;
      const topic = `dies.${name}.${side}`;
      const bus = await newBus();
      const out = await collect(bus, `${topic}.out`);
      const way = await newWay();
      const doomed = await newBus({ ...way.options, sessionTimeout: 1_500 });
      await doomed.subscribe(
        topic,
        async (message) => {
          await message.publish(`${topic}.out`, message.data);
          way.at(key, side, true);
        },
        { group: 'g', transaction: true },
      );
      await bus.publish(topic, 1);
      await until(() => way.broken);
      await bus.subscribe(topic, (message) => message.publish(`${topic}.out`, message.data), {
        group: 'g',
        transaction: true,
      });
      await until(() => out.includes(1), 40_000);
      await until(async () => (await bus.admin.group(topic, 'g'))?.depth === 0, 40_000);
      await marked(bus, `${topic}.out`, out);
      expect(out.filter((data) => data === 1)).toEqual([1]);
    },
    90_000,
  );
});
