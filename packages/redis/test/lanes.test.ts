import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

test('nothing is left of what a member was offered when it goes', async () => {
  const [first, second] = [await w.bus(), await w.bus()];
  const held = Promise.withResolvers<void>();
  const options = { group: 'g', concurrency: 4, prefetch: 4 };
  const keys = ['a', 'b', 'c', 'd'];
  let begun = 0;
  const handler = async (): Promise<void> => {
    begun++;
    await held.promise;
  };
  await first.subscribe('offered', handler, options);
  for (const key of keys) await first.publish('offered', 1, { key });
  await until(() => begun === keys.length);
  const got: string[] = [];
  await second.subscribe<number>('offered', ({ key, data }) => void got.push(`${key}${data}`), options);
  for (const key of keys) await second.publish('offered', 2, { key });
  const owned = `{${w.prefix}.0}:owned:g|offered:offered`;
  await until(async () => (await w.raw.zcard(owned)) === keys.length);
  await first.close({ timeout: 1 });
  await until(() => got.length === 2 * keys.length);
  expect(await w.raw.zcard(owned)).toBe(0);
  held.resolve();
});
