import { readFileSync } from 'node:fs';
import { type Bus, ConnectionError } from '@ambus/core';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

const worlds: World[] = [];
const started = async (...args: Parameters<typeof world>): Promise<World> => {
  const w = await world(...args);
  worlds.push(w);
  return w;
};
afterAll(() => Promise.all(worlds.map((w) => w.close())));

/** Everything once: groups with and without keys, patterns, live, retries, delays, requests, admin. */
async function works(bus: Bus): Promise<void> {
  const got: string[] = [];
  let failed = 0;
  await bus.subscribe<string>(
    'all.a',
    ({ data }) => {
      if (data === 'retried' && failed++ === 0) throw new Error('once');
      got.push(data);
    },
    { group: 'g', retry: { initialDelay: 10 } },
  );
  await bus.subscribe<string>('all.*', ({ data }) => void got.push(`wide ${data}`), { group: 'g' });
  await bus.subscribe<string>('all.#', ({ data }) => void got.push(`live ${data}`));
  await bus.respond('asked', ({ data }) => data);
  await bus.publish('all.a', 'plain');
  await bus.publish('all.a', 'keyed', { key: 'k' });
  await bus.publish('all.a', 'urgent', { priority: 'critical' });
  await bus.publish('all.a', 'delayed', { delay: 50 });
  await bus.publish('all.a', 'retried');
  expect((await bus.request('asked', 7)).data).toBe(7);
  const names = ['plain', 'keyed', 'urgent', 'delayed', 'retried'];
  const all = names.flatMap((name) => [name, `wide ${name}`, `live ${name}`]);
  await until(() => all.every((one) => got.includes(one)));
  await until(async () => (await bus.admin.group('all.a', 'g'))?.depth === 0);
}

test('without readers everything comes by bells', async () => {
  const w = await started();
  await works(await w.bus({ maxReaders: 0 }));
});

test('the account of the README may do what a bus does', async () => {
  const w = await started();
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const rules = /```\nACL SETUSER app (.*)\n```/.exec(readme)![1]!.replace('{ambus.*}', `{${w.prefix}.*}`);
  await w.raw.acl('SETUSER', 'app', ...rules.split(' '));
  await works(await w.bus({ username: 'app', password: () => 'secret' }));
});

test('over TLS, with a certificate that is trusted and one that is not', async () => {
  const w = await started({ tls: true });
  await works(await w.bus({ tls: { ca: w.server.tls!.ca } }));
  const error = await (await w.bus()).connect().catch((one: unknown) => one);
  expect(ConnectionError.is(error) && !error.retryable).toBe(true);
});

test('with the settings of a client that is given, which stays as it is', async () => {
  const w = await started({ auth: 'password' });
  const client = new Redis(w.server.url);
  const bus = await w.bus({ url: undefined, client });
  await works(bus);
  expect(bus.native()).toBe(client);
  await bus.close();
  expect(await client.ping()).toBe('PONG');
  client.disconnect();
});

test('in another database, apart from the first', async () => {
  const w = await started();
  const [zero, five] = [await w.bus(), await w.bus({ db: 5 })];
  const got: string[] = [];
  await zero.subscribe<string>('apart', ({ data }) => void got.push(data));
  await works(five);
  await five.publish('apart', 'five');
  await zero.publish('apart', 'zero');
  await until(() => got.length > 0);
  expect(got).toEqual(['zero']);
});

test('through sentinels, over a failover', { timeout: 60_000 }, async () => {
  const w = await started({ sentinels: 3 });
  const nodes = w.server.sentinels.map(({ host, port }) => ({ host, port }));
  const watcher = new Redis(nodes[0]!);
  // A Sentinel that has not met the replica or the others yet would have nobody to make the master.
  await until(async () => {
    const replicas = (await watcher.call('SENTINEL', 'REPLICAS', 'ambus')) as string[][];
    const quorum = await watcher.call('SENTINEL', 'CKQUORUM', 'ambus').catch(() => 'no');
    return replicas.some((one) => one.includes('ok')) && String(quorum).startsWith('OK 3');
  }, 30_000);
  watcher.disconnect();
  const bus = await w.bus(
    { url: undefined, sentinel: { name: 'ambus', nodes }, lease: 3_000 },
    { publishTimeout: 30_000 },
  );
  const got: number[] = [];
  await bus.subscribe<number>('topic', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('topic', 0);
  await until(() => got.length === 1);
  // Its own client would only tell that the server is gone.
  w.raw.disconnect();
  await w.server.nodes[0]!.kill9();
  for (let n = 1; n <= 20; n++) await bus.publish('topic', n);
  await until(() => new Set(got).size === 21, 30_000);
});

test('on a cluster', { timeout: 60_000 }, async () => {
  const w = await started({ cluster: 3 });
  const nodes = w.server.nodes.map(({ host, port }) => ({ host, port }));
  await works(await w.bus({ url: undefined, cluster: nodes }));
});

test.each(['8', 'valkey'] as const)('on version %s', { timeout: 120_000 }, async (version) => {
  const w = await started({ version });
  await works(await w.bus());
});
