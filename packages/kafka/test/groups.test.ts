import { setTimeout } from 'node:timers/promises';
import { type BusError, ClosedError, ConfigError, createBus } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { AssignerProtocol, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { startKafka } from './support/start.ts';

const PATIENCE = { timeout: 15_000 };

let server: Server;
let admin: ReturnType<Kafka['admin']>;
beforeAll(async () => {
  server = await startKafka();
  admin = new Kafka({ brokers: [address()], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
});
afterAll(async () => {
  await admin.disconnect();
  await server.close();
});

const address = (): string => `${server.host}:${server.port}`;
const open = (options: KafkaOptions = {}) =>
  createBus({ broker: kafka({ brokers: address(), partitions: 2, ...options }) });

it('tells the server of all topics on which a group has positions, also of its note of itself', async () => {
  await using bus = await open();
  await bus.subscribe('listed.topic', () => {}, { group: 'lister' });
  const { groups } = await admin.describeGroups(['ambus.lister.listed.topic']);
  const [member] = groups[0]!.members;
  const topics = AssignerProtocol.MemberMetadata.decode(member!.memberMetadata)?.topics;
  expect(topics).toContain('ambus.listed.topic');
  expect(topics).toContain('ambus.-control');
});

it('goes on at the positions of a group whose note is gone, and reads the rest from its start', async () => {
  await using bus = await open();
  const topic = 'noteless.topic';
  await bus.admin.ensureTopic(topic);
  for (let n = 0; n < 40; n++) await bus.publish(topic, n);
  const partitions = await admin.fetchTopicOffsets(`ambus.${topic}`);
  const skipped = Number(partitions[0]!.high) - 2;
  expect(skipped).toBeGreaterThan(0);
  await admin.setOffsets({
    groupId: `ambus.noteless.${topic}`,
    topic: `ambus.${topic}`,
    partitions: [{ partition: partitions[0]!.partition, offset: String(skipped) }],
  });
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { group: 'noteless', from: 'new' });
  await expect.poll(() => got.length, PATIENCE).toBe(40 - skipped);
  await bus.publish(topic, 'new');
  await expect.poll(() => got.at(-1), PATIENCE).toBe('new');
  expect(got).toHaveLength(41 - skipped);
});

it('reads partitions that are added to a topic', async () => {
  await using bus = await open();
  const topic = 'grown.topic';
  const group: unknown[] = [];
  const live: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void group.push(data), { group: 'grower' });
  await bus.subscribe(topic, ({ data }) => void live.push(data));
  await admin.createPartitions({ topicPartitions: [{ topic: `ambus.${topic}`, count: 4 }] });
  const producer = new Kafka({ brokers: [address()], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  for (let partition = 0; partition < 4; partition++) {
    await producer.send({
      topic: `ambus.${topic}`,
      messages: [
        { partition, value: JSON.stringify(partition), headers: { 'content-type': 'application/json' } },
      ],
    });
  }
  await producer.disconnect();
  await expect.poll(() => new Set(group).size, PATIENCE).toBe(4);
  await expect.poll(() => new Set(live).size, PATIENCE).toBe(4);
});

it('reads a topic that appears while another of its pattern goes', async () => {
  await using bus = await open();
  await bus.admin.ensureTopic('swap.a');
  const got: unknown[] = [];
  await bus.subscribe('swap.*', ({ data }) => void got.push(data), { group: 'swapper' });
  await admin.deleteTopics({ topics: ['ambus.swap.a'] });
  await admin.createTopics({ topics: [{ topic: 'ambus.swap.b', numPartitions: 2 }], waitForLeaders: true });
  await using other = await open();
  await other.publish('swap.b', 'here');
  await expect.poll(() => got, PATIENCE).toContain('here');
});

it('ends the older of two members with one static id, and leaves the other alone', async () => {
  const ended: BusError[] = [];
  await using first = await open({ groupInstanceId: 'one' });
  await using second = await open({ groupInstanceId: 'one' });
  first.on('subscription.failed', ({ error }) => void ended.push(error as BusError));
  const topic = 'static.topic';
  await first.subscribe(topic, () => {}, { group: 'static' });
  const got: unknown[] = [];
  await second.subscribe(topic, ({ data }) => void got.push(data), { group: 'static' });
  await expect.poll(() => ended.length, PATIENCE).toBe(1);
  expect(ConfigError.is(ended[0])).toBe(true);
  expect(ended[0]!.message).toContain('groupInstanceId "one"');
  for (let n = 0; n < 10; n++) await second.publish(topic, n);
  await expect.poll(() => got.length, PATIENCE).toBe(10);
  expect(ended).toHaveLength(1);
});

it('refuses a second member with the static id of the first on one bus', async () => {
  await using bus = await open({ groupInstanceId: 'twin' });
  await bus.subscribe('twin.topic', () => {}, { group: 'twins' });
  await expect(bus.subscribe('twin.topic', () => {}, { group: 'twins' })).rejects.toThrow(
    'groupInstanceId "twin" is in use',
  );
  await bus.subscribe('twin.other', () => {}, { group: 'twins' });
});

it('deletes a group whose static members are gone, and whose places the server keeps', async () => {
  const topic = 'static.gone';
  const member = await open({ groupInstanceId: 'one', sessionTimeout: 30_000 });
  await member.subscribe(topic, () => {}, { group: 'g' });
  await member.close();
  await using bus = await open();
  expect((await bus.admin.listGroups()).find(({ pattern }) => pattern === topic)?.members).toBe(1);
  expect(await bus.admin.deleteGroup(topic, 'g')).toBe(true);
  expect((await bus.admin.listGroups()).find(({ pattern }) => pattern === topic)).toBeUndefined();
});

it('ends what is about to subscribe when the bus closes', async () => {
  for (const pause of [0, 10, 30, 60, 100]) {
    const bus = await open();
    const topic = `closing.${pause}`;
    const ends = [{ group: 'g' }, {}].map((options) =>
      bus
        .subscribe(topic, () => {}, options)
        .then(
          () => true,
          (error: BusError) => ClosedError.is(error),
        ),
    );
    await setTimeout(pause);
    await bus.close();
    expect(await Promise.race([Promise.all(ends), setTimeout(1_000)])).toEqual([true, true]);
  }
});
