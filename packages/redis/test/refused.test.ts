import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const stream = (topic: string): string => `{${w.prefix}.0}:stream:${topic}:2`;

/** How many calls the server has done for publishers of this test's prefix. */
async function calls(): Promise<number> {
  const keys = await w.raw.keys(`{${w.prefix}.0}:publisher:*`);
  const counters = keys.filter((key) => !/:(from|refused)$/.test(key));
  const counts = await Promise.all(counters.map((key) => w.raw.get(key)));
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

for (const way of ['slow', 'plain']) {
  test(`what was refused is told as refused after a lost connection, by the ${way} way`, async () => {
    const topic = `refusing.${way}`;
    const proxy = await w.server.proxy();
    const bus = await w.bus({ url: proxy.url });
    await bus.publish('refusing.other', 1);
    for (let n = 0; way === 'plain' && n < 3; n++) await bus.publish(topic, n);
    await w.raw.multi().del(stream(topic)).set(stream(topic), 'foreign').exec();
    const before = await calls();
    proxy.delay(300);
    const outcomes: Promise<unknown>[] = [];
    for (const name of [topic, 'refusing.other', topic]) {
      outcomes.push(
        bus.publish(name, 1).then(
          () => 'accepted',
          ({ name }: Error) => name,
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(async () => (await calls()) === before + 3);
    proxy.drop();
    proxy.restore();
    expect(await Promise.all(outcomes)).toEqual(['ConfigError', 'accepted', 'ConfigError']);
    await bus.close();
    expect(await w.raw.keys(`{${w.prefix}.0}:publisher:*:refused`)).toEqual([]);
  });
}

test('a shorter window of one bus does not cut short that of another', async () => {
  const long = await w.bus({}, { deduplicationWindow: 60_000 });
  const short = await w.bus({}, { deduplicationWindow: 200 });
  await long.publish('windows', 1, { delivery: 'exactly-once', idempotencyKey: 'long' });
  await short.publish('windows', 2, { delivery: 'exactly-once', idempotencyKey: 'short' });
  const seen = `{${w.prefix}.0}:seen:windows`;
  expect(await w.raw.pttl(seen)).toBeGreaterThan(50_000);
  await until(async () => Number(await w.raw.zscore(seen, 'short')) < Date.now() - 50);
  await long.publish('windows', 3, { delivery: 'exactly-once', idempotencyKey: 'long' });
  await short.publish('windows', 4, { delivery: 'exactly-once', idempotencyKey: 'short' });
  expect(await w.raw.xlen(stream('windows'))).toBe(3);
});
