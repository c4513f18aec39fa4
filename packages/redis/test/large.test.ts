import type { Bus } from '@ambus/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

const MIB = 1024 * 1024;
const topics = { 'flying.#': { durability: 'ephemeral' } } as const;

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const bodies = (): Promise<string[]> => w.raw.keys(`{${w.prefix}.*}:body:*`);
const body = (n: number, size: number): Uint8Array => new Uint8Array(size).fill(n);

/** What breaks, drops or goes missing on a bus. */
function troubles(bus: Bus): string[] {
  const list: string[] = [];
  bus.on('disconnected', ({ error }) => list.push(error.message));
  bus.on('warning', ({ message }) => list.push(message));
  return list;
}

test('many large replies at once all arrive, and nothing is left of them', async () => {
  const [asking, answering] = [await w.bus({}, { requestTimeout: 30_000 }), await w.bus()];
  const trouble = [troubles(asking), troubles(answering)];
  await answering.respond('large', ({ data }) => body(data as number, 4 * MIB), { concurrency: 50 });
  const replies = await Promise.all(
    Array.from({ length: 40 }, (_, n) => asking.request<Uint8Array>('large', n)),
  );
  expect(replies.map(({ data }) => [data.byteLength, data[0]])).toEqual(
    Array.from({ length: 40 }, (_, n) => [4 * MIB, n]),
  );
  expect(trouble.flat()).toEqual([]);
  expect(await bodies()).toEqual([]);
});

test('large requests reach one responder of each group', async () => {
  const [asking, ...answering] = [await w.bus(), await w.bus(), await w.bus(), await w.bus()];
  const groups = ['a', 'a', 'b'];
  const asked: string[] = [];
  for (const [at, bus] of answering.entries()) {
    const group = groups[at]!;
    const respond = ({ data }: { data: unknown }): string => {
      asked.push(`${group} ${(data as Uint8Array).byteLength}`);
      return group;
    };
    await bus.respond('asked', respond, { group });
  }
  await asking.request('asked', body(1, MIB));
  await until(() => asked.length >= 2);
  expect(asked.toSorted()).toEqual([`a ${MIB}`, `b ${MIB}`]);
  await until(async () => (await bodies()).length === 0);
});

test('many large ephemeral messages arrive in order, with small ones between them', async () => {
  const publisher = await w.bus({}, { topics });
  const got: number[][] = [];
  const trouble: string[][] = [];
  for (const [pattern, options] of [
    ['flying.a', {}],
    ['flying.*', {}],
    ['flying.#', { group: 'g' }],
  ] as const) {
    const bus = await w.bus({}, { topics });
    trouble.push(troubles(bus));
    const numbers: number[] = [];
    got.push(numbers);
    await bus.subscribe<Uint8Array>(pattern, ({ data }) => void numbers.push(data[0]!), options);
  }
  const count = 80;
  const sizes = [2 * MIB, 10, 40_000, 31_000];
  await Promise.all(
    Array.from({ length: count }, (_, n) => publisher.publish('flying.a', body(n, sizes[n % sizes.length]!))),
  );
  await until(() => got.every(({ length }) => length >= count));
  for (const numbers of got) expect(numbers).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(trouble.flat()).toEqual([]);
  await until(async () => (await bodies()).length === 0);
});

test('what nobody listens to leaves nothing behind', async () => {
  const bus = await w.bus({}, { topics });
  await bus.publish('flying.away', body(1, MIB));
  await expect(bus.request('nowhere', body(1, MIB))).rejects.toThrow('nobody');
  expect(await bodies()).toEqual([]);
});

test('a batch larger than what the server reads at once is stored and sent', async () => {
  const bus = await w.bus({}, { topics });
  const batch = Array.from({ length: 40 }, (_, n) => ({ topic: 'stored', data: body(n, MIB) }));
  await bus.publishMany(batch);
  expect(await w.raw.xlen(`{${w.prefix}.0}:stream:stored:2`)).toBe(40);
});

test('a message that names a body of somebody else reads nothing', async () => {
  const bus = await w.bus({}, { topics });
  await w.raw.set('foreign', 'secret');
  const got: string[] = [];
  await bus.subscribe<Uint8Array>('flying.foreign', ({ data }) => void got.push(String(Buffer.from(data))));
  await w.raw.publish(`${w.prefix}@0:e:flying.foreign`, 'ambus:body foreign');
  await until(() => got.length === 1);
  expect(got).toEqual(['ambus:body foreign']);
});

test('a listener that is cut off for what waits on it says so once, and goes on', async () => {
  const before = (await w.raw.config('GET', 'client-output-buffer-limit')) as string[];
  await w.raw.config('SET', 'client-output-buffer-limit', 'pubsub 200kb 0 0');
  try {
    const [publisher, bus] = [await w.bus({}, { topics }), await w.bus({}, { topics })];
    const trouble = troubles(bus);
    const got: number[] = [];
    await bus.subscribe<Uint8Array>('flying.fast', ({ data }) => void got.push(data[0]!));
    const flood = Array.from({ length: 100 }, () => ({ topic: 'flying.fast', data: body(1, 30_000) }));
    await publisher.publishMany(flood);
    await until(() => trouble.length >= 2);
    await until(async () => {
      await publisher.publish('flying.fast', body(2, 1));
      return got.includes(2);
    });
    expect(trouble.filter((text) => text.includes('client-output-buffer-limit'))).toHaveLength(1);
  } finally {
    await w.raw.config('SET', before[0]!, before[1]!);
  }
});

test('on a cluster, too', { timeout: 60_000 }, async () => {
  const clustered = await world({ cluster: 3 });
  try {
    const cluster = clustered.server.nodes.map(({ host, port }) => ({ host, port }));
    const create = (): Promise<Bus> =>
      clustered.bus({ url: undefined, cluster }, { topics, requestTimeout: 30_000 });
    const [asking, answering] = [await create(), await create()];
    const trouble = [troubles(asking), troubles(answering)];
    await answering.respond('large', ({ data }) => data, { concurrency: 50 });
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, n) => asking.request<Uint8Array>('large', body(n, MIB))),
    );
    expect(replies.map(({ data }) => data[0])).toEqual(Array.from({ length: 40 }, (_, n) => n));
    const got: number[] = [];
    await answering.subscribe<Uint8Array>('flying.*', ({ data }) => void got.push(data[0]!));
    for (let n = 0; n < 10; n++) await asking.publish('flying.a', body(n, n % 2 === 0 ? MIB : 1));
    await until(() => got.length === 10);
    expect(got).toEqual(Array.from({ length: 10 }, (_, n) => n));
    expect(trouble.flat()).toEqual([]);
  } finally {
    await clustered.close();
  }
});
