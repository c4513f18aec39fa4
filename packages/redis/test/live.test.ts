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

test('topics that were deleted are not asked for any more', async () => {
  const bus = await w.bus({ lease: 1_000 });
  const got: string[] = [];
  await bus.subscribe('comes.#', ({ topic }) => void got.push(topic));
  await bus.publish('comes.and.goes', 1);
  await bus.publish('comes.and.stays', 1);
  await until(() => got.length === 2);
  const monitor = await w.raw.monitor();
  try {
    // How often in a row, up to now, it asked for the one topic without the other.
    let without = 0;
    monitor.on('monitor', (_time: string, args: string[]) => {
      if (args[0] !== 'evalsha' || !args.includes('comes.and.stays')) return;
      without = args.includes('comes.and.goes') ? 0 : without + 1;
    });
    await bus.admin.deleteTopic('comes.and.goes');
    await until(() => without >= 4);
    await bus.publish('comes.and.goes', 2);
    await until(() => got.length === 3);
  } finally {
    monitor.disconnect();
  }
  expect(got).toHaveLength(3);
});

for (const slow of [true, false]) {
  test(`what was removed before it was read is warned of once, ${slow ? 'slow' : 'paused'}`, async () => {
    const topic = `behind.${slow}`;
    const retention = { maxMessages: 50 };
    const bus = await w.bus({}, { topics: { 'behind.#': { retention } } });
    const warnings: string[] = [];
    bus.on('warning', ({ message }) => warnings.push(message));
    const got: number[] = [];
    let held = Promise.withResolvers<void>();
    const handler = async ({ data }: { data: number }): Promise<void> => {
      got.push(data);
      await held.promise;
    };
    const subscription = await bus.subscribe<number>(topic, handler, { concurrency: 5, prefetch: 10 });
    let n = 0;
    const publish = async (count: number): Promise<void> => {
      for (const last = n + count; n < last; ) await bus.publish(topic, n++);
    };
    const arrives = (): Promise<void> => until(() => got.includes(n - 1));
    if (!slow) held.resolve();
    await publish(slow ? 40 : 1);
    await until(() => got.length > 0);
    if (!slow) await subscription.pause();
    else held.resolve();
    if (!slow) await publish(50);
    subscription.resume();
    await arrives();
    expect(got).toEqual(Array.from({ length: n }, (_, at) => at));
    expect(warnings).toEqual([]);
    for (let round = 0; round < 2; round++) {
      held = Promise.withResolvers();
      if (slow) await publish(1);
      else await subscription.pause();
      await publish(200);
      held.resolve();
      subscription.resume();
      await arrives();
    }
    expect(got.length).toBeLessThan(n);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(topic);
  });
}
