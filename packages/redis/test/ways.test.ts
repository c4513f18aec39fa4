import { ConfigError, ConnectionError } from '@ambus/core';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { works } from './support/works.ts';
import { until, type World, world } from './support/world.ts';

const worlds: World[] = [];
const started = async (...args: Parameters<typeof world>): Promise<World> => {
  const w = await world(...args);
  worlds.push(w);
  return w;
};
afterAll(() => Promise.all(worlds.map((w) => w.close())));

test('without readers everything comes by bells', async () => {
  const w = await started();
  await works(await w.bus({ maxReaders: 0 }));
});

test('over TLS, with a certificate that is trusted and one that is not', async () => {
  const w = await started({ tls: true });
  await works(await w.bus({ tls: { ca: w.server.tls!.ca } }));
  const error = await (await w.bus()).connect().catch((one: unknown) => one);
  expect(ConnectionError.is(error) && !error.retryable).toBe(true);
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

test('a database that cannot be used is refused, and never becomes another', async () => {
  const w = await started();
  const refused = async (...args: Parameters<World['bus']>): Promise<unknown> =>
    (await w.bus(...args)).connect().catch((error: unknown) => error);
  const error = await refused({ db: 99 });
  expect(ConfigError.is(error)).toBe(true);
  expect((error as Error).message).toMatch(/"db".*99/);
  await w.raw.acl('SETUSER', 'zero', 'on', '>secret', '~*', '&*', '+@all', '-select');
  const forbidden = await refused({ db: 5, username: 'zero', password: 'secret' });
  expect(ConfigError.is(forbidden)).toBe(true);
  expect((forbidden as Error).message).toMatch(/"db".*5/);
  await works(await w.bus({ username: 'zero', password: 'secret' }));
});

test('a database that is taken away while a bus is connected does not become another', async () => {
  const w = await started();
  await w.raw.acl('SETUSER', 'five', 'on', '>secret', '~*', '&*', '+@all');
  const bus = await w.bus({ db: 5, username: 'five', password: 'secret' }, { publishTimeout: 20_000 });
  await bus.publish('moved', 1);
  await w.raw.acl('SETUSER', 'five', '-select');
  await w.raw.client('KILL', 'USER', 'five');
  const later = bus.publish('moved', 2);
  const denied = async (): Promise<boolean> => String(await w.raw.acl('LOG')).includes('select');
  await until(denied);
  expect(await w.raw.keys(`{${w.prefix}.0}:*`)).toEqual([]);
  await w.raw.acl('SETUSER', 'five', '+select');
  await later;
  const five = w.raw.duplicate({ db: 5 });
  expect(await five.xlen(`{${w.prefix}.0}:stream:moved:2`)).toBe(2);
  five.disconnect();
});

test.each([
  ['through sentinels', {}],
  ['through sentinels by a url, over TLS and with a password', { tls: true, auth: 'password' }],
] as const)('%s, over a failover', { timeout: 60_000 }, async (_, secured) => {
  const w = await started({ sentinels: 3, ...secured });
  const nodes = w.server.sentinels.map(({ host, port }) => ({ host, port }));
  const tls = w.server.tls && { ca: w.server.tls.ca };
  const watcher = new Redis({ ...nodes[0]!, ...(tls && { tls }) });
  // A Sentinel that has not met the replica or the others yet would have nobody to make the master.
  await until(async () => {
    const replicas = (await watcher.call('SENTINEL', 'REPLICAS', 'ambus')) as string[][];
    const quorum = await watcher.call('SENTINEL', 'CKQUORUM', 'ambus').catch(() => 'no');
    return replicas.some((one) => one.includes('ok')) && String(quorum).startsWith('OK 3');
  }, 30_000);
  watcher.disconnect();
  const at = nodes.map(({ host, port }) => `${host}:${port}`).join(',');
  const way = tls
    ? { url: `rediss+sentinel://:${w.server.credentials.password}@${at}/ambus`, tls }
    : { url: undefined, sentinel: { name: 'ambus', nodes } };
  const bus = await w.bus({ ...way, lease: 3_000 }, { publishTimeout: 30_000 });
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
  const error = await (await w.bus()).connect().catch((one: unknown) => one);
  expect(ConfigError.is(error) && error.message).toContain('redis+cluster://');
});

test('a server that is no cluster is said to be none', async () => {
  const w = await started();
  const bus = await w.bus({ url: `redis+cluster://127.0.0.1:${w.server.port}` });
  const error = await bus.connect().catch((one: unknown) => one);
  expect(ConfigError.is(error) && error.message).toContain('redis://');
});

test('on a cluster over TLS, with a certificate that is trusted and one that is not', {
  timeout: 60_000,
}, async () => {
  const w = await started({ cluster: 3, tls: true, auth: 'password' });
  const { password } = w.server.credentials;
  const at = w.server.nodes.map(({ host, port }) => `${host}:${port}`).join(',');
  const url = `rediss+cluster://:${password}@${at}`;
  await works(await w.bus({ url, tls: { ca: w.server.tls!.ca } }));
  const error = await (await w.bus({ url })).connect().catch((one: unknown) => one);
  expect(ConnectionError.is(error) && !error.retryable && error.message).toMatch(/certificate/);
  const wrong = await (await w.bus({ url: url.replace(password!, 'x'), tls: { ca: w.server.tls!.ca } }))
    .connect()
    .catch((one: unknown) => one);
  expect(ConnectionError.is(wrong) && !wrong.retryable && wrong.message).toMatch(/WRONGPASS/);
});

test('on a cluster, with a password that has changed when a node is dialled anew', {
  timeout: 60_000,
}, async () => {
  const w = await started({ cluster: 3, auth: 'password' });
  let password = w.server.credentials.password!;
  const nodes = w.server.nodes.map(({ host, port }) => ({ host, port }));
  const bus = await w.bus({ url: undefined, cluster: nodes, password: () => password });
  await works(bus);
  const lost: unknown[] = [];
  bus.on('disconnected', (event) => lost.push(event));
  const raw = nodes.map((node) => new Redis({ ...node, password }));
  password = 'changed';
  for (const node of raw) await node.config('SET', 'requirepass', password);
  // Not the one that listens: with it all would be made anew.
  for (const node of raw) {
    const lines = String(await node.client('LIST')).split('\n');
    const ids = lines
      .filter((line) => / name=(?!\S*:ears)\S/.test(line))
      .map((line) => /^id=(\d+)/.exec(line)![1]!);
    for (const id of ids) await node.client('KILL', 'ID', id);
    expect(ids).not.toEqual([]);
    for (let n = 0; n < 30; n++) await bus.publish(`topic${n}`, n);
  }
  await works(bus);
  expect(lost).toEqual([]);
  for (const node of raw) node.disconnect();
});

test('with a certificate of its own, for a server that asks for one', async () => {
  const w = await started({ tls: 'mutual' });
  const { ca, cert, key } = w.server.tls!;
  await works(await w.bus({ tls: { ca, cert, key } }));
  const error = await (await w.bus({ tls: { ca } })).connect().catch((one: unknown) => one);
  expect(ConnectionError.is(error) && !error.retryable).toBe(true);
});

test.each(['8', 'valkey'] as const)('on version %s', { timeout: 120_000 }, async (version) => {
  const w = await started({ version });
  await works(await w.bus());
});
