import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

test('bells that ring while it begins do not have a live subscription read what was there before', async () => {
  const bus = await w.bus();
  // Its channel is listened to from here on.
  await bus.subscribe('rung', () => {});
  await bus.publish('rung', 'before');
  let isRinging = true;
  const ringing = (async () => {
    while (isRinging) {
      await Promise.all(Array.from({ length: 50 }, () => w.raw.publish(`${w.prefix}@0:b:rung`, '2')));
    }
  })();
  const got: string[][] = [];
  for (let n = 0; n < 30; n++) {
    const own: string[] = [];
    got.push(own);
    await bus.subscribe<string>('rung', ({ data }) => void own.push(data));
  }
  isRinging = false;
  await ringing;
  await bus.publish('rung', 'after');
  await until(() => got.every((own) => own.includes('after')));
  expect(got).toEqual(got.map(() => ['after']));
});
