import { createBus, silentLogger } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { breaking, type Side } from './support/frames.ts';
import { startKafka } from './support/start.ts';

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

const open = (options: KafkaOptions = {}) =>
  createBus({
    broker: kafka({
      brokers: `${server.host}:${server.port}`,
      partitions: 1,
      sessionTimeout: 1_500,
      ...options,
    }),
    logger: silentLogger,
  });

const PRODUCE = 0;
const OFFSET_COMMIT = 8;
/** More than a position and its topic of retries hold, so that the later ones move there, and move on in it. */
const MESSAGES = 200;

/** The end comes at a request after so many handlers have failed at that attempt. */
const steps: [name: string, request: number, side: Side, attempt: number, failures: number][] = [
  ['before the first retry is stored', PRODUCE, 'request', 1, 50],
  ['after the first retry is stored', PRODUCE, 'answer', 1, 50],
  ['before a retry is stored', PRODUCE, 'request', 1, 80],
  ['after a retry is stored', PRODUCE, 'answer', 1, 80],
  ['before what was moved is settled', OFFSET_COMMIT, 'request', 1, 80],
  ['after what was moved is settled', OFFSET_COMMIT, 'answer', 1, 80],
  ['before a retry is stored again', PRODUCE, 'request', 2, 150],
  ['after a retry is stored again', PRODUCE, 'answer', 2, 150],
  ['before what was moved again is settled', OFFSET_COMMIT, 'request', 2, 150],
];

it.each(steps)(
  'none is lost or doubled by an end %s',
  {
    timeout: 60_000,
  },
  async (name, request, side, until, failures) => {
    const topic = `moved.${name.replaceAll(' ', '-')}`;
    await using bus = await open();
    const way = await breaking(server);
    const dying = await open(way.options);
    const options = {
      group: 'g',
      concurrency: 8,
      retry: { maxRetries: 5, delays: [2_000, 6_000], jitter: 0 },
    };
    const failed = new Map<number, number>();
    let count = 0;
    await dying.subscribe<number>(
      topic,
      ({ data, attempt }) => {
        failed.set(data, attempt);
        if (attempt === until && ++count === failures) way.at(request, side, true);
        throw new Error('again');
      },
      options,
    );
    for (let n = 0; n < MESSAGES; n++) await bus.publish(topic, n, { key: `k${n % 7}` });
    await expect.poll(() => way.broken, { timeout: 20_000 }).toBe(true);
    await dying.close({ timeout: 0 });
    const done: [data: number, attempt: number][] = [];
    await bus.subscribe<number>(topic, ({ data, attempt }) => void done.push([data, attempt]), options);
    const depth = async () => (await bus.admin.listGroups()).find(({ pattern }) => pattern === topic)?.depth;
    await expect.poll(depth, { timeout: 20_000 }).toBe(0);
    expect(done.map(([data]) => data).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: MESSAGES }, (_, n) => n),
    );
    // None is counted anew.
    expect(done.filter(([data, attempt]) => failed.has(data) && attempt <= failed.get(data)!)).toEqual([]);
    await way.close();
  },
);
