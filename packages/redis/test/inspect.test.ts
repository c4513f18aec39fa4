import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

const worlds: World[] = [];
afterAll(() => Promise.all(worlds.map((w) => w.close())));

test('a policy that drops keys is warned of after a reconnect, and once', async () => {
  const w = await world();
  worlds.push(w);
  const bus = await w.bus();
  const warnings: string[] = [];
  let reconnected = 0;
  bus.on('warning', ({ message }) => warnings.push(message));
  bus.on('reconnected', () => reconnected++);
  await bus.connect();
  for (const policy of ['allkeys-lru', 'allkeys-lru', 'volatile-lru']) {
    await w.raw.config('SET', 'maxmemory-policy', policy);
    const before = reconnected;
    await w.raw.client('KILL', 'SKIPME', 'yes');
    await until(() => reconnected > before && warnings.at(-1)?.includes(policy));
    // What was asked on this connection before is answered before.
    await bus.publish('asked', 1);
  }
  expect(warnings).toHaveLength(2);
});

test('all masters of a cluster are asked, and those that take over', { timeout: 90_000 }, async () => {
  const w = await world({ cluster: 3, replicas: 1 });
  worlds.push(w);
  const nodes = w.server.nodes.map(({ host, port }) => new Redis({ host, port }));
  const ports = w.server.nodes.map(({ port }) => port);
  const bad = [1, 2, 3];
  for (const at of bad) await nodes[at]!.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const bus = await w.bus({
    url: undefined,
    cluster: w.server.nodes.slice(0, 3).map(({ host, port }) => ({ host, port })),
  });
  const warnings: string[] = [];
  bus.on('warning', ({ message }) => warnings.push(message));
  await bus.connect();
  const named = (): (readonly number[])[] =>
    warnings.map((message) => ports.filter((port) => message.includes(`:${port}`)));
  expect(named()).toEqual([[ports[1], ports[2]]]);
  await nodes[3]!.cluster('FAILOVER');
  await until(() => warnings.length > 1, 30_000);
  expect(named()[1]).toEqual([ports[3]]);
  for (const node of nodes) node.disconnect();
});
