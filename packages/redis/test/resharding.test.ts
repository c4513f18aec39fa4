import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { redis } from '../src/index.ts';
import { until } from './support/world.ts';

let server: Server;
let nodes: readonly Redis[];
beforeAll(async () => {
  server = await startServer('redis', { via: 'native', quiet: true, cluster: 3 });
  nodes = server.nodes.map(({ host, port }) => new Redis({ host, port }));
}, 60_000);
afterAll(async () => {
  for (const node of nodes) node.disconnect();
  await server.close();
});

const pause = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time));

/** Moves a slot to the next node as `redis-cli --cluster reshard` does, and takes its time over it. */
async function move(slot: number): Promise<void> {
  const ids = await Promise.all(nodes.map((node) => node.cluster('MYID') as Promise<string>));
  const shards = await nodes[0]!.cluster('SLOTS');
  const owner = shards.find(([first, last]) => first <= slot && slot <= last)![2]![2]!;
  const from = ids.indexOf(owner);
  const to = (from + 1) % nodes.length;
  const [source, target] = [nodes[from]!, nodes[to]!];
  await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from]!);
  await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to]!);
  for (;;) {
    const keys = await source.cluster('GETKEYSINSLOT', slot, 1);
    if (keys.length === 0) break;
    await source.call('MIGRATE', '127.0.0.1', target.options.port!, '', 0, 5_000, 'KEYS', ...keys);
    await pause(30);
  }
  await target.call('CLUSTER', 'SETSLOT', slot, 'NODE', ids[to]!);
  await source.call('CLUSTER', 'SETSLOT', slot, 'NODE', ids[to]!);
  for (const node of nodes) await node.call('CLUSTER', 'SETSLOT', slot, 'NODE', ids[to]!);
}

test('slots move while messages are published and consumed: none is lost or stored twice, and keys keep their order', async () => {
  const prefix = 'moving';
  const create = () =>
    createBus({
      broker: redis({ cluster: server.nodes.map(({ host, port }) => ({ host, port })), shards: 2 }),
      prefix,
      logger: false,
    });
  const [publisher, consumer] = await Promise.all([create(), create()]);
  const topics = ['orders.a', 'orders.b', 'orders.c', 'orders.d'];
  const got: { readonly id: string; readonly n: number; readonly keyed: boolean; readonly topic: string }[] =
    [];
  await consumer.subscribe<number>(
    'orders.*',
    ({ data, id, key, topic }) => void got.push({ id, n: data, keyed: key !== undefined, topic }),
    { group: 'g', concurrency: 8 },
  );

  let isMoving = true;
  let published = 0;
  const flow = async (topic: string): Promise<void> => {
    for (let n = 0; isMoving || n < 100; n++) {
      await publisher.publish(topic, n, {
        ...(n % 2 === 0 ? { key: 'k' } : {}),
        ...(n % 7 === 1 ? { delay: 50 } : {}),
      });
      published++;
    }
  };
  const flows = Promise.all(topics.map(flow));
  for (const shard of [0, 1, 0]) {
    await move((await nodes[0]!.cluster('KEYSLOT', `{${prefix}.${shard}}`)) as number);
    await pause(200);
  }
  isMoving = false;
  await flows;

  await until(() => got.length >= published, 30_000);
  await pause(300);
  expect(got).toHaveLength(published);
  expect(new Set(got.map(({ topic, n }) => `${topic} ${n}`)).size).toBe(published);
  for (const topic of topics) {
    const keyed = got.filter((one) => one.keyed && one.topic === topic && one.n % 7 !== 1).map(({ n }) => n);
    expect(keyed).toEqual(keyed.toSorted((a, b) => a - b));
  }
  expect((await consumer.admin.listGroups()).map(({ depth }) => depth)).toEqual([0]);
  await Promise.all([publisher.close(), consumer.close()]);
}, 120_000);
