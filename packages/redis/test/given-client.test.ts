import { createRequire } from 'node:module';
import { Cluster, type RedisOptions as DriverOptions, Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { works } from './support/works.ts';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world({ auth: 'password' });
});
afterAll(() => w.close());

/** Another copy of the driver, as an application has that depends on another version. */
function anotherCopy(): typeof import('ioredis') {
  const require = createRequire(import.meta.url);
  const mine = Object.keys(require.cache).filter((path) => path.includes('/ioredis/'));
  const kept = mine.map((path) => [path, require.cache[path]] as const);
  for (const path of mine) delete require.cache[path];
  try {
    return require('ioredis');
  } finally {
    for (const [path, module] of kept) require.cache[path] = module;
  }
}

test('a client is taken as it is told, and stays as it is', async () => {
  const client = new Redis(w.server.url);
  const bus = await w.bus({ url: undefined, client });
  await works(bus);
  expect(bus.native()).toBe(client);
  await bus.close();
  expect(await client.ping()).toBe('PONG');
  client.disconnect();
});

test('a client of another copy of the driver leads to its own server', async () => {
  const other = anotherCopy();
  expect(other.Redis).not.toBe(Redis);
  const client = new other.Redis(w.server.url, { lazyConnect: true });
  const bus = await w.bus({ url: undefined, client: client as unknown as Redis });
  await works(bus);
  expect(await w.raw.keys(`{${w.prefix}.0}:*`)).not.toEqual([]);
});

test('what a client is set to does not change our calls', async () => {
  const settings: DriverOptions = {
    stringNumbers: true,
    keyPrefix: 'mine:',
    commandTimeout: 300,
    blockingTimeout: 200,
    socketTimeout: 400,
    enableAutoPipelining: true,
    enableOfflineQueue: true,
    reconnectOnError: () => true,
    retryStrategy: () => 10,
  };
  const client = new Redis(w.server.url, { ...settings, lazyConnect: true });
  const bus = await w.bus({ url: undefined, client });
  const lost: unknown[] = [];
  bus.on('disconnected', (event) => lost.push(event));
  const attempts: unknown[] = [];
  await bus.subscribe(
    'settings',
    ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 2) throw new Error('once');
    },
    { group: 'g', retry: { initialDelay: 10 } },
  );
  // Longer than any of the times above: the blocking reads wait for it.
  await new Promise((resolve) => setTimeout(resolve, 700));
  await bus.publish('settings', 1);
  await until(() => attempts.length === 2);
  expect(attempts).toEqual([1, 2]);
  await works(bus);
  expect(lost).toEqual([]);
  expect(await w.raw.keys('mine:*')).toEqual([]);
});

test('its database is taken, or another one that is given besides', async () => {
  const client = new Redis(w.server.url, { db: 3, lazyConnect: true });
  for (const [db, own] of [
    [3, {}],
    [4, { db: 4 }],
  ] as const) {
    const bus = await w.bus({ url: undefined, client, ...own });
    await bus.publish('placed', 1);
    const raw = w.raw.duplicate({ db });
    expect(await raw.exists(`{${w.prefix}.0}:stream:placed:2`)).toBe(1);
    raw.disconnect();
  }
});

test('a client of a cluster with a password, whatever it is set to', { timeout: 60_000 }, async () => {
  const clustered = await world({ cluster: 3, auth: 'password' });
  try {
    const nodes = clustered.server.nodes.map(({ host, port }) => ({ host, port }));
    const options = {
      lazyConnect: true,
      keyPrefix: 'mine:',
      scaleReads: 'all',
      enableAutoPipelining: true,
      redisOptions: {
        password: clustered.server.credentials.password!,
        stringNumbers: true,
        commandTimeout: 300,
      },
    } as const;
    for (const driver of [Cluster, anotherCopy().Cluster]) {
      const client = new driver(nodes, options) as Cluster;
      const bus = await clustered.bus({ url: undefined, client });
      await works(bus);
      expect(bus.native()).toBe(client);
      await bus.close();
    }
  } finally {
    await clustered.close();
  }
});
