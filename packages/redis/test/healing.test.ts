import { afterAll, beforeAll, expect, test } from 'vitest';
import { SCRIPTS } from '../src/scripts/index.ts';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const stream = (topic: string): string => `{${w.prefix}.0}:stream:${topic}:2`;

test('scripts that the server has forgotten are brought back, and nothing is lost or doubled', async () => {
  const [publisher, consumer] = [await w.bus(), await w.bus()];
  const got: number[] = [];
  await consumer.subscribe<number>('scripts', ({ data }) => void got.push(data), { group: 'g' });
  for (let n = 0; n < 300; n++) {
    if (n % 50 === 25) await w.raw.script('FLUSH');
    await Promise.all([
      publisher.publish('scripts', 2 * n),
      publisher.publish('scripts', 2 * n + 1, { key: 'k' }),
    ]);
  }
  await until(() => got.length >= 600);
  expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 600 }, (_, n) => n));
  const keyed = got.filter((n) => n % 2 === 1);
  expect(keyed).toEqual(keyed.toSorted((a, b) => a - b));
});

test('a consumer group that somebody destroyed is made again with one warning', async () => {
  const bus = await w.bus();
  const warnings: string[] = [];
  bus.on('warning', ({ message }) => warnings.push(message));
  const got: number[] = [];
  await bus.subscribe<number>('destroyed', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('destroyed', 1);
  await until(() => got.length === 1);
  await w.raw.xgroup('DESTROY', stream('destroyed'), 'g|destroyed');
  await bus.publish('destroyed', 2);
  await until(() => got.includes(2));
  expect(warnings).toHaveLength(1);
});

test('a stream that somebody deleted begins anew', async () => {
  const [publisher, bus] = [await w.bus(), await w.bus()];
  const got: number[] = [];
  await bus.subscribe<number>('deleted', ({ data }) => void got.push(data), { group: 'g' });
  await publisher.publish('deleted', 1);
  await until(() => got.length === 1);
  await w.raw.del(stream('deleted'));
  for (const n of [2, 3, 4]) await publisher.publish('deleted', n);
  await until(() => got.length >= 4);
  expect(got).toEqual([1, 2, 3, 4]);
});

test('a publish whose answer is lost is not repeated: what the server has done it has done once', async () => {
  const proxy = await w.server.proxy();
  const publisher = await w.bus({ url: proxy.url });
  await publisher.connect();
  const consumer = await w.bus();
  const got: number[] = [];
  await consumer.subscribe<number>('once', ({ data }) => void got.push(data), {
    group: 'g',
    concurrency: 50,
  });
  const published: Promise<unknown>[] = [];
  for (let n = 0; n < 400; n++) {
    published.push(publisher.publish('once', n));
    if (n % 100 === 50) proxy.drop();
    if (n % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(published);
  await until(() => got.length >= 400);
  expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, n) => n));
});

test('an ack whose answer is lost does not give the key to two members at once', async () => {
  const proxy = await w.server.proxy();
  const [first, second] = [await w.bus({ url: proxy.url }), await w.bus()];
  const started: string[] = [];
  const ends = new Map([1, 2].map((n) => [n, Promise.withResolvers<void>()]));
  const handler =
    (who: string) =>
    async ({ data }: { data: number }): Promise<void> => {
      started.push(`${who} ${data}`);
      await ends.get(data)?.promise;
    };
  const member = await first.subscribe<number>('answers', handler('first'), { group: 'g' });
  await first.publish('answers', 1, { key: 'k' });
  await first.publish('answers', 2, { key: 'k' });
  const lanes = `{${w.prefix}.0}:lanes:g|answers:answers`;
  const count = async (): Promise<string | undefined> => (await w.raw.hget(lanes, 'k'))?.split('|')[0];
  await until(async () => (await count()) === '2');
  await second.subscribe<number>('answers', handler('second'), { group: 'g' });

  const acks = async (): Promise<number> =>
    Number(/cmdstat_xack:calls=(\d+)/.exec(await w.raw.info('commandstats'))![1]);
  proxy.delay(300);
  ends.get(1)!.resolve();
  await until(async () => (await count()) === '1');
  const before = await acks();
  proxy.drop();
  proxy.restore();
  await until(async () => (await acks()) > before);
  await member.pause();

  await second.publish('answers', 3, { key: 'k' });
  await second.publish('answers', 4, { key: 'other' });
  await until(() => started.includes('second 4'));
  expect(started).toEqual(['first 1', 'first 2', 'second 4']);
  ends.get(2)!.resolve();
  await until(() => started.includes('second 3'));
});

test('a record that is removed while a handler fails on it holds back its key no longer', async () => {
  const [bus, other] = [await w.bus(), await w.bus()];
  const got: number[] = [];
  const held = Promise.withResolvers<void>();
  const options = { group: 'g', retry: { initialDelay: 1 } };
  const member = await bus.subscribe<number>('removed', () => held.promise, options);
  await bus.publish('removed', 1, { key: 'k' });
  const lanes = `{${w.prefix}.0}:lanes:g|removed:removed`;
  await until(() => w.raw.hexists(lanes, 'k'));
  const { records } = await bus.admin.browse('removed', undefined, 1);
  await bus.admin.remove('removed', [records[0]!.position]);
  await member.pause();
  await other.subscribe<number>('removed', ({ data }) => void got.push(data), { group: 'g' });
  await other.publish('removed', 2, { key: 'k' });
  held.reject(new Error('on purpose'));
  await until(() => got.length === 1, 5_000);
});

test('a nack that comes twice does not take back what was delivered since', async () => {
  const bus = await w.bus();
  const attempts: number[] = [];
  const held = Promise.withResolvers<void>();
  const handler = async ({ attempt }: { attempt: number }): Promise<void> => {
    attempts.push(attempt);
    if (attempt === 1) throw new Error('once');
    await held.promise;
  };
  await bus.subscribe<number>('nacked', handler, { group: 'g', retry: { initialDelay: 1 } });
  await bus.publish('nacked', 1, { key: 'k' });
  await until(() => attempts.length === 2);
  const [tag, group] = [`{${w.prefix}.0}`, 'g|nacked'];
  const pending = async (): Promise<unknown[]> =>
    (await w.raw.xpending(`${tag}:stream:nacked:k`, group, '-', '+', 1))[0] as unknown[];
  const [id, owner] = (await pending()) as [string, string];
  const root = `${w.prefix}@0:`;
  const again = [root, group, owner, 'nacked', 'k', id, 'k', 1, 60_000, 0];
  expect(await w.raw.eval(SCRIPTS.nack.source, 1, tag, ...again)).toBe(1);
  expect((await pending())[1]).toBe(owner);
  held.resolve();
  await until(async () => (await bus.admin.group('nacked', 'g'))?.depth === 0);
  expect(attempts).toEqual([1, 2]);
});

test('what a full server has dropped is made again, and consumption goes on', async () => {
  const [publisher, bus] = [await w.bus(), await w.bus()];
  const warnings: string[] = [];
  bus.on('warning', ({ message }) => warnings.push(message));
  const got: string[] = [];
  const take = ({ data }: { data: string }): void => void got.push(data);
  await bus.subscribe<string>('evicted.a', take, { group: 'g' });
  await bus.subscribe<string>('evicted.*', ({ data }) => void got.push(`wide ${data}`), { group: 'g' });
  await publisher.publish('evicted.a', 'before');
  await until(() => got.length === 2);
  const policy = ['maxmemory-policy', 'noeviction', 'maxmemory', '0'] as const;
  try {
    await w.raw.config('SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', '1');
    await until(async () => (await w.raw.dbsize()) === 0);
  } finally {
    await w.raw.config('SET', ...policy);
  }
  expect(Number(/evicted_keys:(\d+)/.exec(await w.raw.info('stats'))![1])).toBeGreaterThan(0);
  await publisher.publish('evicted.a', 'after');
  await publisher.publish('evicted.a', 'keyed', { key: 'k' });
  await until(() => ['after', 'wide after', 'keyed', 'wide keyed'].every((one) => got.includes(one)), 30_000);
  expect(got).toHaveLength(6);
  expect(warnings).toHaveLength(1);
});

test('a group of which nothing is left but its messages is made again, unless it was deleted', async () => {
  const [publisher, bus] = [await w.bus(), await w.bus()];
  const got: number[] = [];
  await bus.subscribe<number>('listed', ({ data }) => void got.push(data), { group: 'g' });
  await publisher.publish('listed', 1, { key: 'k' });
  await until(() => got.length === 1);
  await w.raw.del(`{${w.prefix}.0}:groups`, `{${w.prefix}.0}:members:g|listed`);
  await publisher.publish('listed', 2, { key: 'k' });
  await until(() => got.includes(2));
  expect(await bus.admin.deleteGroup('listed', 'g')).toBe(true);
  await publisher.publish('listed', 3, { key: 'k' });
  await until(async () =>
    (await bus.admin.listTopics()).some(({ topic, depth }) => topic === 'listed' && depth === 3),
  );
  expect(await bus.admin.group('listed', 'g')).toBeUndefined();
  expect(got).not.toContain(3);
});

test('a member that is given up while the server takes no writes comes back once it does', async () => {
  const [publisher, bus] = [await w.bus(), await w.bus()];
  const got: number[] = [];
  const held = Promise.withResolvers<void>();
  let lost = 0;
  bus.on('lease.lost', () => void lost++);
  const take = async ({ data }: { data: number }): Promise<void> => {
    got.push(data);
    if (data === 1) await held.promise;
  };
  await bus.subscribe<number>('full', take, { group: 'g', concurrency: 5 });
  await publisher.publish('full', 1);
  await until(() => got.length === 1);
  try {
    await w.raw.del(`{${w.prefix}.0}:members:g|full`);
    await w.raw.config('SET', 'min-replicas-to-write', '1');
    await until(() => lost === 1);
  } finally {
    await w.raw.config('SET', 'min-replicas-to-write', '0');
    held.resolve();
  }
  await publisher.publish('full', 2);
  await until(() => got.includes(2), 5_000);
});

test('whichever key is dropped, later messages arrive', { timeout: 120_000 }, async () => {
  const [publisher, bus] = [await w.bus(), await w.bus()];
  const got = new Set<string>();
  await bus.subscribe<number>('single', ({ data }) => void got.add(`${data}`), { group: 'g' });
  await bus.subscribe<number>('single.#', ({ data }) => void got.add(`wide ${data}`), { group: 'g' });
  let n = 0;
  const arrives = async (): Promise<void> => {
    for (const options of [{}, { key: 'k' }, { priority: 'high' }] as const) {
      const at = ++n;
      await publisher.publish('single', at, options);
      await until(() => got.has(`${at}`) && got.has(`wide ${at}`));
    }
  };
  await arrives();
  const keys = await w.raw.keys(`{${w.prefix}.0}:*`);
  expect(keys.length).toBeGreaterThan(5);
  for (const key of keys) {
    await w.raw.del(key);
    await arrives();
  }
});

test('a policy that drops keys is warned of', async () => {
  await w.raw.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const bus = await w.bus();
  const warnings: string[] = [];
  bus.on('warning', ({ message }) => warnings.push(message));
  await bus.connect();
  await w.raw.config('SET', 'maxmemory-policy', 'noeviction');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('allkeys-lru');
});

test('a bus that is closed leaves nothing but topics and groups', async () => {
  const bus = await w.bus({}, { topics: { 'flying.#': { durability: 'ephemeral' } } });
  await bus.subscribe('tidy', () => {}, { group: 'g' });
  await bus.subscribe('tidy.*', () => {});
  await bus.subscribe('flying.x', () => {}, { group: 'g' });
  await bus.respond('asked', () => 1);
  await bus.publish('tidy', 1);
  await bus.request('asked', 1);
  const mine = (await w.raw.client('LIST')) as string;
  await bus.close();
  const keys = await w.raw.keys(`{${w.prefix}.0}:*`);
  expect(keys.filter((key) => /listen|:members:g\|tidy|flying/.test(key))).toEqual([]);
  const consumers = (await w.raw.xinfo('CONSUMERS', stream('tidy'), 'g|tidy')) as unknown[][];
  expect(consumers.map((one) => one[1]).filter((name) => name !== '~')).toEqual([]);
  expect(mine).toContain('name=');
});
