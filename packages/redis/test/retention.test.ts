import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const topics = { '#': { retention: { maxMessages: 20 } } };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const length = (topic: string): Promise<number> => w.raw.xlen(`{${w.prefix}.0}:stream:${topic}:2`);

test('what nobody waits for is trimmed to the retention', async () => {
  const bus = await w.bus({}, { topics });
  for (const n of numbers(200)) await bus.publish('free', n);
  expect(await length('free')).toBeLessThanOrEqual(25);
});

test('what a group has not settled is never trimmed, and then it is', async () => {
  const bus = await w.bus({}, { topics });
  const idle = await bus.subscribe('kept', () => {}, { group: 'g' });
  await idle.unsubscribe();
  for (const n of numbers(200)) await bus.publish('kept', n);
  expect(await length('kept')).toBe(200);
  const got: number[] = [];
  await bus.subscribe<number>('kept', ({ data }) => void got.push(data), { group: 'g' });
  await until(() => got.length === 200);
  await until(async () => (await bus.admin.group('kept', 'g'))?.depth === 0);
  for (const n of numbers(50)) await bus.publish('kept', n);
  await until(() => got.length === 250);
  expect(await length('kept')).toBeLessThanOrEqual(75);
});

test('a group on a pattern keeps what it has never seen, on topics made while it was away', async () => {
  const bus = await w.bus({}, { topics });
  await (await bus.subscribe('wide.*', () => {}, { group: 'g' })).unsubscribe();
  for (const n of numbers(100)) await bus.publish('wide.new', n);
  expect(await length('wide.new')).toBe(100);
});

test('with trimUnacked the retention holds whoever waits', async () => {
  const bus = await w.bus({ trimUnacked: true }, { topics });
  await (await bus.subscribe('bounded', () => {}, { group: 'g' })).unsubscribe();
  for (const n of numbers(200)) await bus.publish('bounded', n);
  expect(await length('bounded')).toBeLessThanOrEqual(25);
});

test('what is older than the retention goes, but nothing that a group has not settled', async () => {
  const bus = await w.bus({}, { topics: { '#': { retention: { maxAge: 200 } } } });
  const depth = async (topic: string): Promise<number | undefined> =>
    (await bus.admin.listTopics()).find((one) => one.topic === topic)?.depth;
  await (await bus.subscribe('aged.kept', () => {}, { group: 'g' })).unsubscribe();
  for (const topic of ['aged.free', 'aged.kept']) {
    for (const n of numbers(5)) await bus.publish(topic, n);
    await bus.publish(topic, 5, { key: 'k' });
  }
  await until(async () => (await depth('aged.free')) === 0);
  expect(await depth('aged.kept')).toBe(6);
  const got: number[] = [];
  await bus.subscribe<number>('aged.kept', ({ data }) => void got.push(data), { group: 'g' });
  await until(async () => (await depth('aged.kept')) === 0);
  expect(got.toSorted()).toEqual(numbers(6));
});

test('what was trimmed while it waited for its retry holds back no later message of its key', async () => {
  const bus = await w.bus({ trimUnacked: true }, { topics });
  const got: string[] = [];
  const retry = { maxRetries: 3, initialDelay: 1_000, jitter: 0 };
  await bus.subscribe<string>(
    'blocked',
    ({ data }) => {
      got.push(data);
      if (data === 'bad') throw new Error('fails');
    },
    { group: 'g', order: 'block', retry },
  );
  await bus.publish('blocked', 'bad', { key: 'a' });
  await until(() => got.length === 1);
  for (const n of numbers(60)) await bus.publish('blocked', `other ${n}`, { key: 'b' });
  await bus.publish('blocked', 'later', { key: 'a' });
  await until(() => got.includes('later'));
  expect(got.filter((data) => data === 'bad')).toHaveLength(1);
  await until(async () => (await bus.admin.group('blocked', 'g'))?.depth === 0);
});

test('a group that starts at a date and has not read yet keeps what came since, and publishes go on', async () => {
  const bus = await w.bus({}, { topics });
  for (const n of numbers(20)) await bus.publish('dated', n);
  const [last] = await w.raw.xrevrange(`{${w.prefix}.0}:stream:dated:2`, '+', '-', 'COUNT', 1);
  const date = new Date(Number(last![0].split('-')[0]) + 1);
  await until(() => Date.now() > date.getTime());
  await bus.admin.ensureGroup('dated', 'g', date);
  for (const n of numbers(100)) await bus.publish('dated', n);
  expect(await bus.admin.listTopics()).toContainEqual(
    expect.objectContaining({ topic: 'dated', depth: 100 }),
  );
  expect((await bus.admin.group('dated', 'g'))?.depth).toBe(100);
});

test('what is stored is taken, also by an account that may not trim', async () => {
  const rules = ['on', '>secret', '~*', '&*', '+@all', '-xtrim'];
  await w.raw.acl('SETUSER', 'untrimming', 'reset', ...rules);
  const bus = await w.bus({ username: 'untrimming', password: 'secret' }, { topics });
  for (const n of numbers(50)) await bus.publish('untrimmed', n);
  expect(await length('untrimmed')).toBe(50);
});

test('a retention without end is kept as it is', async () => {
  const [maxMessages, maxAge] = [Number.MAX_SAFE_INTEGER, 100 * 365 * 24 * 3_600_000];
  const limits = [{ maxMessages }, { maxAge }, { maxMessages, maxAge }];
  for (const [at, retention] of limits.entries()) {
    const topic = `endless.${at}`;
    const bus = await w.bus({}, { topics: { '#': { retention } } });
    const got: number[] = [];
    await bus.subscribe<number>(topic, ({ data }) => void got.push(data), { group: 'g' });
    await bus.publish(topic, 1);
    await bus.publish(topic, 2, { key: 'k' });
    await bus.publish(topic, 3, { priority: 'high' });
    await until(() => got.length === 3);
    expect(await bus.admin.listTopics()).toContainEqual({ topic, depth: 3, retention });
  }
});

test('a retention that was written down with an exponent is read', async () => {
  const prefix = `${w.prefix}-exponent`;
  await w.raw.hset(`{${prefix}.0}:topics`, 'old', '2|9.007199254741e+15|');
  const bus = await w.bus({}, { prefix });
  const got: number[] = [];
  await bus.subscribe<number>('old', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('old', 1, { key: 'k' });
  await until(() => got.length === 1);
  expect(await bus.admin.listTopics()).toHaveLength(1);
});

test('what was delayed is trimmed as everything else', async () => {
  const [kept, bounded] = ['kept', 'bounded'].map((name) => `${w.prefix}-${name}`);
  const depths = async (prefix: string, trimUnacked: boolean): Promise<number[]> => {
    const bus = await w.bus({ trimUnacked }, { topics, prefix });
    await bus.admin.ensureGroup('held', 'g', 'earliest');
    for (const topic of ['free', 'held']) {
      await bus.publishMany(numbers(150).map((n) => ({ topic, data: n, delay: 50 })));
    }
    await until(async () => (await w.raw.zcard(`{${prefix}.0}:delayed`)) === 0);
    return Promise.all(['free', 'held'].map((topic) => w.raw.xlen(`{${prefix}.0}:stream:${topic}:2`)));
  };
  const [free, held] = await depths(kept!, false);
  expect(free).toBeLessThanOrEqual(25);
  expect(held).toBe(150);
  for (const depth of await depths(bounded!, true)) expect(depth).toBeLessThanOrEqual(25);
});

test('bodies are not read to be trimmed, and nothing goes that is pending among them', async () => {
  const bus = await w.bus({}, { topics });
  await bus.admin.ensureGroup('heavy', 'g', 'earliest');
  const stream = `{${w.prefix}.0}:stream:heavy:2`;
  const bodies = ['x'.repeat(200_000), 'small', 'small'];
  const ids: string[] = [];
  for (const n of numbers(300)) {
    await bus.publish('heavy', bodies[n % 3]);
    ids.push(...(await w.raw.xrevrange(stream, '+', '-', 'COUNT', 1)).map(([id]) => id));
  }
  const peak = async (): Promise<number> =>
    Number(/used_memory_peak:(\d+)/.exec(await w.raw.info('memory'))![1]);
  for (const at of [125, 251]) {
    await w.raw.xgroup('SETID', stream, 'g|heavy', ids[at - 1]!);
    await w.raw.xreadgroup('GROUP', 'g|heavy', 'other', 'COUNT', 1, 'STREAMS', stream, '>');
    const before = await peak();
    // Not every one has the topic trimmed.
    for (const n of numbers(2)) await bus.publish('heavy', n);
    expect((await w.raw.xrange(stream, '-', '+', 'COUNT', 1))[0]![0]).toBe(ids[at]);
    expect((await peak()) - before).toBeLessThan(4_000_000);
    await w.raw.xack(stream, 'g|heavy', ids[at]!);
  }
});
