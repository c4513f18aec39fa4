import { type Bus, createBus, type Message, UnsupportedError } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { kafka } from '../src/index.ts';
import { rawKafka, readAll, send } from './support/client.ts';
import { startKafka } from './support/start.ts';

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

const brokers = (): string => `${server.host}:${server.port}`;
let made = 0;

/** Topics of a pattern on one Kafka topic, of names that no other test has. */
function mapping(): { root: string; makeBus(prefix?: string): Promise<Bus> } {
  const root = `agents${++made}`;
  return {
    root,
    makeBus: () =>
      createBus({
        broker: kafka({ brokers: brokers(), partitions: 2 }),
        topics: { [`${root}.#`]: { kafkaTopic: root }, [`only${root}`]: { kafkaTopic: `legacy_${root}` } },
      }),
  };
}

describe('topics that share a Kafka topic', () => {
  it('are refused to be deleted or emptied, and lose nothing', async () => {
    const { root, makeBus } = mapping();
    await using bus = await makeBus();
    await bus.publish(`${root}.a`, 1);
    await bus.publish(`${root}.b`, 2);
    const refused = [bus.admin.deleteTopic(`${root}.a`), bus.admin.purge(`${root}.a`)];
    for (const attempt of refused) {
      const error = await attempt.catch((failure: unknown) => failure);
      expect([UnsupportedError.is(error), String(error)]).toEqual([true, expect.stringContaining(root)]);
    }
    expect(await readAll(rawKafka(brokers()), [root], 2)).toHaveLength(2);
  });

  it('are browsed each by itself', async () => {
    const { root } = mapping();
    const broker = kafka({ brokers: brokers(), partitions: 2 });
    await using bus = await createBus({ broker, topics: { [`${root}.#`]: { kafkaTopic: root } } });
    for (const n of [1, 2, 3]) {
      await bus.publish(`${root}.a`, `a${n}`);
      await bus.publish(`${root}.b`, `b${n}`);
    }
    const first = await broker.admin.browse(`${root}.b`, undefined, 2);
    const rest = await broker.admin.browse(`${root}.b`, first.cursor, 10);
    const bodies = [...first.records, ...rest.records].map(({ record }) =>
      Buffer.from(record.body).toString(),
    );
    expect([first.records.length, bodies.toSorted()]).toEqual([2, ['"b1"', '"b2"', '"b3"']]);
    expect(await broker.admin.remove(`${root}.b`, [rest.records[0]!.position])).toBe(1);
    const left = async (topic: string) => (await broker.admin.browse(topic, undefined, 10)).records.length;
    expect([await left(`${root}.a`), await left(`${root}.b`)]).toEqual([3, 2]);
  });

  it('are found by the pattern of a bus that only consumes', async () => {
    const { root, makeBus } = mapping();
    await using publisher = await makeBus();
    await publisher.publish(`${root}.x.created`, 1);
    await using bus = await makeBus();
    const seen: string[] = [];
    const handle = ({ topic, data }: Message): void => void seen.push(`${topic} ${data}`);
    await bus.subscribe(`${root}.*.created`, handle, { group: 'g', from: 'earliest' });
    await publisher.publish(`${root}.y.created`, 2);
    await publisher.publish(`${root}.y.deleted`, 3);
    const expected = [`${root}.x.created 1`, `${root}.y.created 2`];
    await vi.waitFor(() => expect(seen.toSorted()).toEqual(expected), 5_000);
  });

  it('take the Kafka topic for the topic of what another program writes', async () => {
    const { root, makeBus } = mapping();
    await using bus = await makeBus();
    const [wide, literal]: Message[][] = [[], []];
    await bus.publish(`${root}.a`, 1);
    await bus.subscribe(`${root}.#`, (message) => void wide!.push(message), { group: 'g' });
    await bus.subscribe(`${root}.a`, (message) => void literal!.push(message), { group: 'g' });
    await send(rawKafka(brokers()), { topic: root, messages: [{ value: 'foreign' }] });
    await bus.publish(`${root}.a`, 2);
    await vi.waitFor(() => expect(wide).toHaveLength(2), 5_000);
    await vi.waitFor(() => expect(literal).toHaveLength(1), 5_000);
    expect([wide!.map(({ topic }) => topic).toSorted(), literal![0]!.data]).toEqual([[root, `${root}.a`], 2]);
  });
});

it('a topic alone on a Kafka topic of another name has all that lies there', async () => {
  const { root, makeBus } = mapping();
  await using bus = await makeBus();
  const topic = `only${root}`;
  const seen: string[] = [];
  await bus.subscribe(`${topic}.#`, (message) => void seen.push(message.topic), { group: 'g' });
  await bus.publish(topic, 1);
  await send(rawKafka(brokers()), { topic: `legacy_${root}`, messages: [{ value: 'foreign' }] });
  await vi.waitFor(() => expect(seen).toEqual([topic, topic]), 5_000);
  expect((await bus.admin.listTopics()).find((one) => one.topic === topic)?.depth).toBe(2);
  expect(await bus.admin.purge(topic)).toBe(2);
  expect(await bus.admin.deleteTopic(topic)).toBe(true);
});
