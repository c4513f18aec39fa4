import { afterAll, beforeAll, expect, test } from 'vitest';
import { type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

test('a read that has only just begun is ended by a pause, too', async () => {
  const bus = await w.bus();
  const topic = 'a';
  const subscription = await bus.subscribe(topic, () => {}, { group: 'g' });
  let longest = 0;
  for (let n = 0; n < 400; n++) {
    const start = performance.now();
    await subscription.pause();
    longest = Math.max(longest, performance.now() - start);
    subscription.resume();
    // The read goes out at another moment each time.
    for (let step = 0; step < n % 8; step++) await new Promise(setImmediate);
  }
  expect(longest).toBeLessThan(3_000);
});
