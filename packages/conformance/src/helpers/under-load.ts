import assert from 'node:assert/strict';
import type { Broker, Bus } from '@ambus/core';
import type { CaseContext } from '../context.ts';
import { settled } from './groups.ts';
import { Load } from './load.ts';
import { numbers } from './sequence.ts';

/** Milliseconds that a server may take to be back, and the buses to find it. */
export const HEALING: number = 90_000;

const PUBLISHERS = 20;
const EACH = 500;

/** 10,000 messages from 20 publishers to 3 consumers, while `disturb` is done at a third and at a half of them. */
export async function underLoad(
  t: CaseContext,
  disturb: () => Promise<void>,
  create: () => Promise<Broker> = () => t.create(),
): Promise<void> {
  const topic = t.topic();
  const group = t.name();
  const load = new Load(t, topic);
  const consumers: Bus[] = [];
  for (const _ of numbers(3)) {
    const bus = await t.bus({ broker: await create() });
    await load.consume(bus, { group, concurrency: 20, prefetch: 200 });
    consumers.push(bus);
  }
  const publishers: Bus[] = [];
  for (const _ of numbers(PUBLISHERS))
    publishers.push(await t.bus({ broker: await create(), publishTimeout: 20_000 }));
  const publishing = Promise.all(publishers.map((bus, n) => load.publish(bus, n * EACH, EACH)));
  for (const part of [3, 2]) {
    await load.reach(Math.ceil((PUBLISHERS * EACH) / part), 2 * HEALING);
    await disturb();
  }
  await publishing;
  assert.equal(load.confirmed.size, PUBLISHERS * EACH);
  await load.complete(2 * HEALING);
  // What was sent to a connection that broke comes again when its lease has run out.
  const [bus] = consumers;
  await settled(t, bus!, topic, group, bus!.capabilities.limits.lease + 10_000);
}

/** Asks until there is an answer. */
export async function answered(t: CaseContext, topic: string): Promise<void> {
  if (t.capabilities.request === 'none') return;
  const asker = await t.bus();
  const ask = (): Promise<boolean> =>
    asker.request(topic, 1, { timeout: 1_000 }).then(
      () => true,
      () => false,
    );
  await t.until('requests are answered', ask, HEALING);
}
