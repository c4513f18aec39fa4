import { type Bus, createBus, silentLogger } from '@ambus/core';
import type { Server } from '@ambus/testing';
import type { Admin } from 'kafkajs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MOST_WAITING } from '../src/feed/room.ts';
import { kafka } from '../src/index.ts';
import { rawKafka, send } from './support/client.ts';
import { startKafka } from './support/start.ts';

const PATIENCE = { timeout: 20_000 };

/** Defaults of a server that keeps little, by the time at which it got it, and looks often. */
const KEEPS_LITTLE = {
  'log.message.timestamp.type': 'LogAppendTime',
  'log.retention.ms': '1000',
  'log.retention.bytes': '1000',
  'log.segment.bytes': '1048576',
  'log.retention.check.interval.ms': '200',
  'log.initial.task.delay.ms': '100',
};

/** Some of these fill a segment, of which the server removes only whole ones. */
const BODY = 'x'.repeat(200_000);
const SEGMENTS = 12;

let server: Server;
let bus: Bus;
let admin: Admin;
beforeAll(async () => {
  server = await startKafka({ properties: KEEPS_LITTLE });
  const address = `${server.host}:${server.port}`;
  bus = await createBus({ broker: kafka({ brokers: address, partitions: 1 }), logger: silentLogger });
  admin = rawKafka(address).admin();
  await admin.connect();
});
afterAll(async () => {
  await admin.disconnect();
  await bus.close();
  await server.close();
});

/** Where a Kafka topic of one partition begins. */
const begin = async (topic: string): Promise<number> =>
  Number((await admin.fetchTopicOffsets(topic))[0]!.low);

/** Resolves when the server has removed what it keeps by default no longer. */
async function removal(topic: string): Promise<void> {
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
  const client = rawKafka(`${server.host}:${server.port}`);
  for (let n = 0; n < SEGMENTS; n++) await send(client, { topic, messages: [{ value: BODY }] });
  await expect.poll(() => begin(topic), PATIENCE).toBe(SEGMENTS);
}

it('what is delayed outlasts what a server keeps by default', { timeout: 60_000 }, async () => {
  for (let n = 0; n < SEGMENTS; n++) await bus.publish('kept', BODY, { delay: 30_000 });
  await removal('by.default');
  expect(await begin('ambus.kept.-d')).toBe(0);
});

it('retries outlast it, too', { timeout: 60_000 }, async () => {
  let failed = 0;
  await bus.subscribe(
    'failing',
    () => {
      failed++;
      throw new Error('again');
    },
    { group: 'g', concurrency: 100, retry: { maxRetries: 1, delays: [60_000] } },
  );
  // As many as a position holds, and these go to the topic of retries.
  const most = MOST_WAITING + SEGMENTS;
  for (let n = 0; n < most; n++) await bus.publish('failing', n < MOST_WAITING ? n : BODY);
  await expect.poll(() => failed, PATIENCE).toBe(most);
  await removal('by.default.too');
  const retries = (await admin.listTopics()).find((topic) => topic.startsWith('ambus.-retries.g.'));
  expect(await begin(retries!)).toBe(0);
});
