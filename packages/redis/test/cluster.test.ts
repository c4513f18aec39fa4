import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { names } from '../src/keys.ts';
import { until, type World, world } from './support/world.ts';

const LEASE = 3_000;
const SHARDS = 16;

let w: World;
beforeAll(async () => {
  w = await world({ cluster: 3 });
}, 60_000);
afterAll(() => w.close());

test('a master that is gone costs the other shards no leases', { timeout: 60_000 }, async () => {
  const nodes = w.server.nodes.map(({ host, port }) => new Redis({ host, port }));
  const [dead, ...alive] = nodes as [Redis, ...Redis[]];
  const ranges = await dead.cluster('SLOTS');
  const { tagOf } = names(w.prefix, 0, SHARDS);
  const nodeOf = async (topic: string): Promise<Redis> => {
    const slot = (await dead.cluster('KEYSLOT', tagOf(topic))) as number;
    const port = ranges.find(([first, last]) => first <= slot && slot <= last)![2]![1];
    return nodes.find(({ options }) => options.port === port)!;
  };
  const topics = new Map<Redis, string>();
  for (let n = 0; topics.size < nodes.length; n++) topics.set(await nodeOf(`topic${n}`), `topic${n}`);
  // Else the whole cluster would be down.
  for (const node of nodes) await node.config('SET', 'cluster-require-full-coverage', 'no');

  const cluster = w.server.nodes.map(({ host, port }) => ({ host, port }));
  const create = () => w.bus({ url: undefined, cluster, shards: SHARDS, lease: LEASE });
  const buses = await Promise.all([create(), create()]);
  const lost: unknown[] = [];
  let held = 0;
  const end = Promise.withResolvers<void>();
  for (const bus of buses) {
    bus.on('lease.lost', (event) => lost.push(event));
    for (const topic of topics.values()) {
      const hold = async (): Promise<void> => {
        held++;
        await end.promise;
      };
      await bus.subscribe(topic, () => {});
      await bus.subscribe(topic, hold, { group: 'g', prefetch: 1 });
    }
  }
  for (const topic of topics.values()) for (let n = 0; n < 10; n++) await buses[0]!.publish(topic, n);
  await until(() => held >= 6);

  // These would only tell that the server is gone.
  w.raw.disconnect();
  dead.disconnect();
  await w.server.nodes[0]!.kill9();
  const killed = Date.now();
  // Each member has been renewed for longer than a call waits for a server that is gone.
  const isRenewed = async (node: Redis): Promise<boolean> => {
    const topic = topics.get(node)!;
    const members = await node.zrange(`${tagOf(topic)}:members:g|${topic}`, 0, -1, 'WITHSCORES');
    return members.length === 4 && [1, 3].every((at) => Number(members[at]) > killed + LEASE + 6_000);
  };
  await until(async () => lost.length > 0 || (await Promise.all(alive.map(isRenewed))).every(Boolean));
  expect(lost).toEqual([]);
  await w.server.nodes[0]!.start();
  end.resolve();
  for (const node of alive) node.disconnect();
});
