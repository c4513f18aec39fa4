import assert from 'node:assert/strict';
import type { Message, SubscribeOptions } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { standingGroup } from '../helpers/groups.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['keyOrder'] as const;
const RETRY = { initialDelay: 10, maxRetries: 3 };

/** What handlers saw, by key. */
class Lanes {
  readonly seen: Map<string, number[]> = new Map();
  /** Keys of which two were handled at the same time. */
  readonly overlaps: Set<string> = new Set();
  readonly #busy = new Set<string>();
  count = 0;

  readonly handle = async ({ key, data }: Message<number>): Promise<void> => {
    const name = key ?? '';
    if (this.#busy.has(name)) this.overlaps.add(name);
    this.#busy.add(name);
    this.seen.set(name, [...(this.seen.get(name) ?? []), data]);
    // Gives others the chance to overtake.
    await new Promise((resolve) => (data % 3 === 0 ? setTimeout(resolve, 1) : setImmediate(resolve)));
    this.#busy.delete(name);
    this.count++;
  };

  /** Holds that each of `keys` was handled in order and one at a time, each message once. */
  check(keys: readonly string[], each: number): void {
    assert.deepEqual([...this.overlaps], [], 'two at a time');
    for (const key of keys) assert.deepEqual(this.seen.get(key), numbers(each), `key ${key}`);
  }
}

const keysOf = (count: number): string[] => numbers(count).map((n) => `key-${n}`);

/** Publishes `each` numbers to each of `keys`, all at once and mixed. */
async function publishMixed(
  t: CaseContext,
  topic: string,
  keys: readonly string[],
  each: number,
): Promise<void> {
  const bus = await t.bus();
  await Promise.all(numbers(each).flatMap((n) => keys.map((key) => bus.publish(topic, n, { key }))));
}

/** Subscribes with a handler that says what it got, and fails where `fails` says so. */
async function telling(
  t: CaseContext,
  topic: string,
  fails: (message: Message<string>) => boolean,
  options: SubscribeOptions,
): Promise<string[]> {
  const seen: string[] = [];
  const bus = await t.bus({ retry: RETRY, deadLetter: { topic: t.topic('dead') } });
  await bus.subscribe<string>(
    topic,
    (message) => {
      seen.push(`${message.data} ${message.attempt}`);
      if (fails(message)) throw new Error('not yet');
    },
    { group: t.name(), ...(options as SubscribeOptions<string>), ack: 'auto' },
  );
  return seen;
}

/** Messages of one key. */
export const order: readonly Case[] = chapter('order', [
  {
    id: 'order/16-keys-10-members',
    name: '1,000 messages of 16 keys are handled by 10 members in the order of each key, one at a time',
    needs: NEEDS,
    timeout: 60_000,
    async run(t) {
      const topic = t.topic();
      const lanes = new Lanes();
      const buses = await Promise.all(numbers(5).map(() => t.bus()));
      await Promise.all(
        numbers(10).map((n) =>
          buses[n % 5]!.subscribe(topic, lanes.handle, { group: t.name(), concurrency: 4 }),
        ),
      );
      const keys = keysOf(16);
      await publishMixed(t, topic, keys, 63);
      await t.until('all were handled', () => lanes.count >= 16 * 63, 40_000);
      lanes.check(keys, 63);
    },
  },
  {
    id: 'order/one-member',
    name: 'one member with high concurrency handles each key in order, one at a time',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const lanes = new Lanes();
      await (await t.bus()).subscribe(topic, lanes.handle, { group: t.name(), concurrency: 64 });
      const keys = keysOf(8);
      await publishMixed(t, topic, keys, 40);
      await t.until('all were handled', () => lanes.count >= 320);
      lanes.check(keys, 40);
    },
  },
  {
    id: 'order/backlog',
    name: 'a backlog of keyed messages is handled in order by members that come one after the other',
    needs: NEEDS,
    timeout: 60_000,
    async run(t) {
      const topic = t.topic();
      await standingGroup(await t.bus(), topic, t.name());
      const keys = keysOf(12);
      await publishMixed(t, topic, keys, 40);
      const lanes = new Lanes();
      for (const n of numbers(4)) {
        const bus = await t.bus();
        await bus.subscribe(topic, lanes.handle, { group: t.name(), concurrency: 4 });
        if (n < 3) await t.until('it goes on', () => lanes.count >= (n + 1) * 40, 30_000);
      }
      await t.until('all were handled', () => lanes.count >= 480, 40_000);
      lanes.check(keys, 40);
    },
  },
  {
    id: 'order/members-leave',
    name: 'the order of each key holds while members join and leave',
    needs: NEEDS,
    timeout: 90_000,
    async run(t) {
      const topic = t.topic();
      const lanes = new Lanes();
      const keys = keysOf(8);
      const join = async () => {
        const bus = await t.bus();
        await bus.subscribe(topic, lanes.handle, { group: t.name(), concurrency: 4 });
        return bus;
      };
      const members = [await join(), await join()];
      const publisher = await t.bus();
      for (const round of numbers(4)) {
        await Promise.all(
          numbers(20).flatMap((n) => keys.map((key) => publisher.publish(topic, round * 20 + n, { key }))),
        );
        members.push(await join());
        await members.shift()!.close();
      }
      await t.until('all were handled', () => lanes.count >= 8 * 80, 60_000);
      lanes.check(keys, 80);
    },
  },
  {
    id: 'order/small-window',
    name: 'what a member gives back comes in order, uncounted, to one that takes one message at a time',
    needs: NEEDS,
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const [topic, group] = [t.topic(), t.name()];
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(20).map((data) => ({ topic, data, key: 'k' })));
      const seen: [data: number, attempt: number][] = [];
      const held = Promise.withResolvers<void>();
      const see = ({ data, attempt }: Message<number>): void => void seen.push([data, attempt]);
      const holder = await bus.subscribe<number>(
        topic,
        async (message) => {
          see(message);
          await held.promise;
        },
        { group },
      );
      await t.until('the first is held', () => seen.length === 1);
      const paused = holder.pause();
      held.resolve();
      await paused;
      await other.subscribe<number>(topic, see, { group, prefetch: 1 });
      await t.until('the rest came', () => seen.length >= 20);
      assert.deepEqual(
        seen,
        numbers(20).map((n) => [n, 1]),
      );
    },
  },
  {
    id: 'order/slow-key',
    name: 'a slow key does not stall the others, even with more of it waiting than there is concurrency',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const gate = Promise.withResolvers<void>();
      t.cleanup(() => gate.resolve());
      const slow: number[] = [];
      const fast: number[] = [];
      await bus.subscribe<number>(
        topic,
        async ({ key, data }) => {
          (key === 'slow' ? slow : fast).push(data);
          if (key === 'slow') await gate.promise;
        },
        { group: t.name(), concurrency: 3 },
      );
      for (const n of numbers(10)) await bus.publish(topic, n, { key: 'slow' });
      await t.until('the slow one is being handled', () => slow.length > 0);
      for (const n of numbers(30)) await bus.publish(topic, n, { key: `fast-${n % 3}` });
      await t.until('all others were handled', () => fast.length >= 30);
      assert.deepEqual(slow, [0]);
      gate.resolve();
      await t.until('then the slow ones', () => slow.length >= 10);
      assert.deepEqual(slow, numbers(10));
    },
  },
  {
    id: 'order/odd-keys',
    name: 'keys are compared byte for byte: odd and similar ones are different keys',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const gate = Promise.withResolvers<void>();
      t.cleanup(() => gate.resolve());
      const running: string[] = [];
      const keys = [
        'k',
        'K',
        ' k',
        'k ',
        'ä',
        'a\u0308',
        '0',
        '00',
        'a:b',
        'a.b',
        '{k}',
        '__proto__',
        '"',
        '👩‍👧',
      ];
      await bus.subscribe(
        topic,
        ({ key }) => {
          running.push(key!);
          return gate.promise;
        },
        { group: t.name(), concurrency: 20 },
      );
      for (const key of keys) await bus.publish(topic, key, { key });
      await t.until('all are handled at once', () => running.length >= keys.length);
      assert.deepEqual(running.toSorted(), keys.toSorted());
    },
  },
  {
    id: 'order/manual',
    name: 'in manual mode the next message of a key comes when the one before is settled, not when its handler ends',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const seen: Message<number>[] = [];
      await bus.subscribe<number>(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
        concurrency: 10,
      });
      for (const n of numbers(3)) await bus.publish(topic, n, { key: 'k' });
      await bus.publish(topic, 100, { key: 'other' });
      await t.until('the first and the other came', () => seen.length >= 2);
      for (const n of numbers(3)) {
        assert.deepEqual(
          seen.filter(({ key }) => key === 'k').map(({ data }) => data),
          numbers(n + 1),
        );
        await seen.find(({ data }) => data === n)!.ack();
        if (n < 2) await t.until('the next came', () => seen.length >= n + 3);
      }
    },
  },
  {
    id: 'order/skip',
    name: 'where the order is to skip, later messages of a key pass one that waits for its retry',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const seen = await telling(t, topic, ({ data }) => data === 'a0', { retry: { initialDelay: 60_000 } });
      const bus = await t.bus();
      for (const n of numbers(4)) await bus.publish(topic, `a${n}`, { key: 'a' });
      await t.until('all others were handled', () => seen.length >= 4);
      assert.deepEqual(seen, ['a0 1', 'a1 1', 'a2 1', 'a3 1']);
    },
  },
  {
    id: 'order/block',
    name: 'where the order is to block, a failing message holds back its key, and only that, until it is handled',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const seen = await telling(t, topic, ({ data, attempt }) => data === 'a0' && attempt < 3, {
        order: 'block',
        concurrency: 4,
      });
      const bus = await t.bus();
      for (const n of numbers(4)) {
        await bus.publish(topic, `a${n}`, { key: 'a' });
        await bus.publish(topic, `b${n}`, { key: 'b' });
      }
      await t.until('all were handled', () => seen.length >= 10);
      const of = (key: string): string[] => seen.filter((one) => one.startsWith(key));
      assert.deepEqual(of('a'), ['a0 1', 'a0 2', 'a0 3', 'a1 1', 'a2 1', 'a3 1']);
      assert.deepEqual(of('b'), ['b0 1', 'b1 1', 'b2 1', 'b3 1']);
    },
  },
]);
