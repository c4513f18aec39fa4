import { createBus, silentLogger } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Ledger } from '../src/feed/ledger.ts';
import { kafka } from '../src/index.ts';
import { startKafka } from './support/start.ts';

const PATIENCE = { timeout: 15_000 };

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

const address = (): string => `${server.host}:${server.port}`;
const open = () => createBus({ broker: kafka({ brokers: address(), partitions: 1 }), logger: silentLogger });

/** What the group has committed of the topic's one partition. */
async function account(group: string, topic: string): Promise<Ledger> {
  const admin = new Kafka({ brokers: [address()], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const [found] = await admin.fetchOffsets({
    groupId: `ambus.${group}.${topic}`,
    topics: [`ambus.${topic}`],
  });
  await admin.disconnect();
  const { offset, metadata } = found!.partitions[0]!;
  return Ledger.decode(Number(offset), metadata ?? '');
}

it('keeps when each retry is due and how often it was tried, however many keys fail', async () => {
  const topic = 'accounts.failing';
  const tried = new Map<number, number>();
  const options = {
    group: 'g',
    retry: { delays: [60_000], maxRetries: 3, jitter: 0, order: 'block' as const },
  };
  const bus = await open();
  const since = Date.now();
  await bus.subscribe<number>(
    topic,
    ({ data, attempt }) => {
      tried.set(data, attempt);
      throw new Error('again');
    },
    options,
  );
  await bus.publishMany(Array.from({ length: 400 }, (_, n) => ({ topic, data: n, key: `k${n}` })));
  let before = 0;
  const still = (): boolean => {
    const same = before > 0 && before === tried.size;
    before = tried.size;
    return same;
  };
  await expect.poll(still, { ...PATIENCE, interval: 200 }).toBe(true);
  await bus.close();
  const ledger = await account('g', topic);
  expect(tried.size).toBeGreaterThan(100);
  expect(ledger.due.size).toBe(tried.size);
  for (const due of ledger.due.values()) expect(due).toBeGreaterThanOrEqual(since + 60_000);
});

it('goes on with the other keys when those that fail are through', async () => {
  const topic = 'accounts.recovering';
  await using bus = await open();
  const done = new Map<number, number>();
  await bus.subscribe<number>(
    topic,
    ({ data, attempt }) => {
      if (attempt === 1) throw new Error('again');
      done.set(data, attempt);
    },
    { group: 'g', retry: { delays: [300], jitter: 0, order: 'block' } },
  );
  await bus.publishMany(Array.from({ length: 400 }, (_, n) => ({ topic, data: n, key: `k${n}` })));
  await expect.poll(() => done.size, PATIENCE).toBe(400);
  expect(new Set(done.values())).toEqual(new Set([2]));
});

it('hands out what is due soon however much of what is due later lies between', async () => {
  const topic = 'accounts.delayed';
  await using bus = await open();
  const got: number[] = [];
  await bus.subscribe<number>(topic, ({ data }) => void got.push(data), { group: 'g' });
  const soon = new Date(Date.now() + 1_500);
  const late = new Date(Date.now() + 3_600_000);
  await bus.publishMany(
    Array.from({ length: 4_000 }, (_, n) => ({ topic, data: n, deliverAt: n % 2 === 0 ? soon : late })),
  );
  await expect.poll(() => got.length, PATIENCE).toBe(2_000);
  expect(new Set(got).size).toBe(2_000);
});
