import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const TIME = '2026-01-31T12:00:00.123Z';

test('a message is one entry: its metadata as CloudEvents attributes in JSON beside its body', async () => {
  const bus = await w.bus({}, { source: '/svc' });
  await bus.publish('bytes', { n: 1 }, { id: 'id-1', type: 'made', headers: { tenant: 'ä"7' }, key: 'k 1' });
  await bus.publish('bytes', 'x', { id: 'a "quoted" id' });
  const [[, keyed]] = (await w.raw.xrange(`{${w.prefix}.0}:stream:bytes:k`, '-', '+')) as [
    [string, string[]],
  ];
  expect([keyed[0], keyed[1], keyed[2], keyed[4], keyed[5]]).toEqual([
    'key',
    'k 1',
    'meta',
    'data',
    '{"n":1}',
  ]);
  const { time, ...attributes } = JSON.parse(keyed[3]!);
  expect(new Date(time).toISOString()).toBe(time);
  expect(attributes).toEqual({
    specversion: '1.0',
    id: 'id-1',
    partitionkey: 'k 1',
    headers: { tenant: 'ä"7' },
    source: '/svc',
    type: 'made',
    datacontenttype: 'application/json',
  });
  const [[, plain]] = (await w.raw.xrange(`{${w.prefix}.0}:stream:bytes:2`, '-', '+')) as [
    [string, string[]],
  ];
  expect([plain[0], plain[2], plain[3]]).toEqual(['meta', 'data', '"x"']);
  expect(JSON.parse(plain[1]!).id).toBe('a "quoted" id');
});

test('an entry with a meta of another language is read as the JSON that it is', async () => {
  const bus = await w.bus();
  const got: unknown[] = [];
  await bus.subscribe(
    'foreign',
    ({ id, data, time, type, priority, headers }) => {
      got.push({ id, data, time: time.toISOString(), type, priority, headers });
    },
    { group: 'g' },
  );
  const meta = {
    type: 't',
    time: TIME,
    id: 'one',
    datacontenttype: 'application/json',
    headers: { a: 'b', n: 1 },
  };
  await w.raw.xadd(`{${w.prefix}.0}:stream:foreign:2`, '*', 'meta', JSON.stringify(meta), 'data', '[1]');
  await until(() => got.length === 1);
  expect(got).toEqual([
    { id: 'one', data: [1], time: TIME, type: 't', priority: 'normal', headers: { a: 'b' } },
  ]);
});

test('Pub/Sub carries metadata, a newline and the body; anything else is a body', async () => {
  const bus = await w.bus({}, { topics: { 'fly.#': { durability: 'ephemeral' } } });
  const got: unknown[] = [];
  await bus.subscribe(
    'fly.*',
    ({ topic, data }) =>
      void got.push([topic, data instanceof Uint8Array ? Buffer.from(data).toString() : data]),
  );
  const heard: string[] = [];
  const ears = w.raw.duplicate();
  await ears.subscribe(`${w.prefix}@0:e:fly.a`);
  ears.on('message', (_, text) => heard.push(text));
  await bus.publish('fly.a', { line: '1\n2' }, { id: 'x' });
  await w.raw.publish(`${w.prefix}@0:e:fly.a`, 'raw');
  await until(() => got.length === 2 && heard.length === 2);
  const [meta, body] = heard[0]!.split('\n');
  expect(JSON.parse(meta!)).toMatchObject({ specversion: '1.0', id: 'x', ambustopic: 'fly.a' });
  expect(body).toBe('{"line":"1\\n2"}');
  expect(got).toEqual([
    ['fly.a', { line: '1\n2' }],
    ['fly.a', 'raw'],
  ]);
  ears.disconnect();
});
