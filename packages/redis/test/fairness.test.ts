import type { Bus, SubscribeOptions } from '@ambus/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { names } from '../src/keys.ts';
import { until, type World, world } from './support/world.ts';

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w.close());

const BACKLOG = 200;
const FEW = 3;

/**
 * How many of the first topic are handled before the last of the second, which has but a few.
 *
 * @param ring - tells once more that the first topic has something, as publishers would all the time
 */
async function handledBefore(
  bus: Bus,
  [busy, quiet]: readonly [string, string],
  own: SubscribeOptions,
  ring: () => Promise<unknown>,
): Promise<number> {
  const entries = (topic: string, count: number) =>
    Array.from({ length: count }, (_, data) => ({ topic, data }));
  await bus.publishMany([...entries(busy, BACKLOG), ...entries(quiet, FEW)]);
  const got: string[] = [];
  const isDone = (): boolean => got.length === BACKLOG + FEW;
  await bus.subscribe(`${busy.split('.')[0]}.*`, ({ topic }) => void got.push(topic), {
    from: 'earliest',
    prefetch: 2,
    concurrency: 1,
    ...own,
  });
  const ringing = (async () => {
    while (!isDone()) await Promise.all(Array.from({ length: 20 }, ring));
  })();
  await until(isDone);
  await ringing;
  return got.lastIndexOf(quiet) + 1 - FEW;
}

for (const [kind, own] of [
  ['group', { group: 'g' }],
  ['live subscription', {}],
] as const) {
  test(`a busy topic does not keep a ${kind} from the others`, async () => {
    const bus = await w.bus();
    const root = kind.split(' ')[0]!;
    for (const topics of [
      [`${root}1.x`, `${root}1.y`],
      [`${root}2.y`, `${root}2.x`],
    ] as const) {
      const ring = () => w.raw.publish(`${w.prefix}@0:b:${topics[0]}`, '2');
      expect(await handledBefore(bus, topics, own, ring)).toBeLessThan(BACKLOG / 4);
    }
  });

  test(`a busy topic does not keep a ${kind} from those in other shards`, async () => {
    const prefix = `${w.prefix}-${kind.split(' ')[0]}`;
    const { tagOf } = names(prefix, 0, 4);
    const quiet = ['a', 'b', 'c', 'd', 'e', 'f'].find((name) => tagOf(`far.${name}`) !== tagOf('far.x'));
    const bus = await w.bus({ shards: 4 }, { prefix });
    const ring = () => w.raw.publish(`${prefix}@0:b:far.x`, '2');
    expect(await handledBefore(bus, ['far.x', `far.${quiet}`], own, ring)).toBeLessThan(BACKLOG / 4);
  });
}
