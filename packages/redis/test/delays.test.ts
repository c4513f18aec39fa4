import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

test('a delayed message that the server refuses holds up no others, is warned of once, and comes later', async () => {
  const bus = await w.bus();
  const warnings: string[] = [];
  bus.on('warning', ({ message }) => warnings.push(message));
  const got: string[] = [];
  await bus.subscribe<string>('fine', ({ data }) => void got.push(data), { group: 'g' });
  const delayed = `{${w.prefix}.0}:delayed`;
  const stream = `{${w.prefix}.0}:stream:foreign:2`;
  const isPutOff = async (count: number): Promise<boolean> =>
    (await w.raw.zcount(delayed, Date.now() + 30_000, '+inf')) === count;

  await bus.publish('foreign', 'plain');
  await w.raw.multi().del(stream).set(stream, 'foreign').exec();
  await bus.publish('foreign', 'first', { delay: 50 });
  await until(() => isPutOff(1));
  await bus.publish('foreign', 'second', { delay: 50 });
  await bus.publish('fine', 'other', { delay: 60 });
  await until(async () => got.length === 1 && (await isPutOff(2)));
  expect(got).toEqual(['other']);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/"foreign".*WRONGTYPE/);

  await w.raw.del(stream);
  for (const name of await w.raw.zrange(delayed, 0, -1)) await w.raw.zadd(delayed, 1, name);
  await w.raw.publish(`${w.prefix}@0:d`, `{${w.prefix}.0}`);
  await until(async () => (await w.raw.zcard(delayed)) === 0);
  expect(await w.raw.xlen(stream)).toBe(2);
});

test('an account that may not store leaves what is due to those that may', async () => {
  const rules = ['on', '>secret', '~*', '&*', '+@all', '-xadd'];
  await w.raw.acl('SETUSER', 'reader', 'reset', ...rules);
  const reader = await w.bus({ username: 'reader', password: 'secret' }, { prefix: `${w.prefix}-read` });
  const warnings: string[] = [];
  reader.on('warning', ({ message }) => warnings.push(message));
  await reader.connect();
  const bus = await w.bus({}, { prefix: `${w.prefix}-read` });
  const got: number[] = [];
  await bus.subscribe<number>('due', ({ data }) => void got.push(data), { group: 'g' });
  for (let n = 0; n < 10; n++) await bus.publish('due', n, { delay: 20 });
  await until(() => got.length === 10);
  expect(warnings).toEqual([]);
});
