import assert from 'node:assert/strict';
import { UnsupportedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { ascending, distinct, numbers } from '../helpers/sequence.ts';

const NEEDS = ['wildcards'] as const;

/** Published for every pattern of `matching`; what is to match each is written out, not computed. */
const TOPICS = ['a', 'b', 'a.b', 'b.a', 'a.c', 'a.b.c', 'a.x.c', 'b.b.c', 'a.b.c.d', 'a.a.a.a', 'd.c.b.a'];

/** Subscribes to each pattern, in a group and live, and holds that each gets its topics, once, and nothing else. */
async function matching(
  t: CaseContext,
  expected: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const bus = await t.bus();
  const subscribed = await Promise.all(
    Object.entries(expected).flatMap(([pattern, topics]) =>
      [t.name(), undefined].map(async (group) => ({
        pattern,
        group,
        topics,
        got: await listen<string>(t, bus, t.topic(pattern), { group }),
      })),
    ),
  );
  await Promise.all(TOPICS.map((topic) => bus.publish(t.topic(topic), topic)));
  const arrived = (times: number): Promise<unknown> => {
    const missing = () => subscribed.filter(({ topics, got }) => got.data.length < times * topics.length);
    const state = (): string =>
      missing()
        .map(({ pattern, group, got }) => `${pattern} (${group ?? 'live'}) got ${got.data.join(', ')}`)
        .join('; ');
    return t.until(
      () => `each got what is its own, ${times} times; ${state()}`,
      () => missing().length === 0,
    );
  };
  await arrived(1);
  // A second round: what was wrongly on its way from the first is here before it.
  await Promise.all(TOPICS.map((topic) => bus.publish(t.topic(topic), topic)));
  await arrived(2);
  for (const { pattern, topics, got } of subscribed) {
    assert.deepEqual(got.data.toSorted(), [...topics, ...topics].toSorted(), `pattern ${pattern}`);
    for (const { topic, data } of got.messages) assert.equal(topic, t.topic(data));
  }
}

async function refused(t: CaseContext): Promise<void> {
  const bus = await t.bus();
  for (const pattern of ['a.*', '#', 'a.#.b']) {
    const subscribe = (): Promise<unknown> => bus.subscribe(t.topic(pattern), () => {});
    await rejection(UnsupportedError, subscribe, 'wildcards');
  }
  assert.equal(bus.stats().subscriptions, 0);
}

export const patterns: readonly Case[] = chapter('patterns', [
  {
    id: 'patterns/star',
    name: '* is exactly one segment: at the start, in the middle, at the end, several at once',
    needs: NEEDS,
    refused,
    run: (t) =>
      matching(t, {
        '*': ['a', 'b'],
        '*.b': ['a.b'],
        '*.b.c': ['a.b.c', 'b.b.c'],
        'a.*': ['a.b', 'a.c'],
        'a.*.c': ['a.b.c', 'a.x.c'],
        '*.*': ['a.b', 'b.a', 'a.c'],
        '*.b.*': ['a.b.c', 'b.b.c'],
        'a.*.*.*': ['a.b.c.d', 'a.a.a.a'],
        '*.*.*.*.*': [],
      }),
  },
  {
    id: 'patterns/hash',
    name: '# is zero or more segments: at the start, in the middle, at the end',
    needs: NEEDS,
    refused,
    run: (t) =>
      matching(t, {
        '#': TOPICS,
        '#.a': ['a', 'b.a', 'a.a.a.a', 'd.c.b.a'],
        'a.#': ['a', 'a.b', 'a.c', 'a.b.c', 'a.x.c', 'a.b.c.d', 'a.a.a.a'],
        'a.#.c': ['a.c', 'a.b.c', 'a.x.c'],
        'a.b.#': ['a.b', 'a.b.c', 'a.b.c.d'],
        'a.b.c.d.#': ['a.b.c.d'],
      }),
  },
  {
    id: 'patterns/several',
    name: '# and * may be used together and more than once',
    needs: NEEDS,
    refused,
    run: (t) =>
      matching(t, {
        '#.b.#': ['b', 'a.b', 'b.a', 'a.b.c', 'b.b.c', 'a.b.c.d', 'd.c.b.a'],
        '#.#': TOPICS,
        '*.#': TOPICS,
        '#.*': TOPICS,
        '*.#.*': TOPICS.filter((topic) => topic !== 'a' && topic !== 'b'),
        '#.c.*': ['a.b.c.d'],
        'a.#.a.#.a': ['a.a.a.a'],
        '*.b.#': ['a.b', 'a.b.c', 'b.b.c', 'a.b.c.d'],
        '#.b.*.#': ['b.a', 'a.b.c', 'b.b.c', 'a.b.c.d', 'd.c.b.a'],
      }),
  },
  {
    id: 'patterns/everything',
    name: '# alone is every topic of the bus, and none of a bus with another prefix',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus({ prefix: t.name('p') });
      const other = await t.bus({ prefix: t.name('q') });
      const got = await listen<string>(t, bus, '#');
      const live = await listen<string>(t, bus, '#', { group: undefined });
      const topics = ['x', 'x.y', 'something.else.entirely'];
      await Promise.all(
        topics.flatMap((topic) => [other.publish(topic, 'foreign'), bus.publish(topic, topic)]),
      );
      await t.until('all came', () => got.data.length >= 3 && live.data.length >= 3);
      await bus.publish('last', 'last');
      await t.until('the last came', () => got.data.includes('last') && live.data.includes('last'));
      for (const { data } of [got, live]) assert.deepEqual(data.toSorted(), [...topics, 'last'].toSorted());
    },
  },
  {
    id: 'patterns/backlog',
    name: 'what waits for a pattern is found between many messages of other topics',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus();
      const expected = {
        '#.c': ['c', 'a.c', 'a.b.c'],
        '#.c.*': ['c.d', 'a.b.c.d'],
        'a.#.c': ['a.c', 'a.b.c'],
        '*.b.#': ['a.b.c', 'a.b.c.d'],
        '#.b.*.#': ['a.b.c', 'a.b.c.d'],
      };
      const groups = Object.entries(expected).map(([pattern, topics]) => ({
        pattern: t.topic(pattern),
        topics,
        group: t.name(),
      }));
      await Promise.all(groups.map(({ pattern, group }) => standingGroup(bus, pattern, group)));
      const publishOthers = () =>
        bus.publishMany(numbers(30).map(() => ({ topic: t.topic('other'), data: 'other' })));
      for (const topic of new Set(Object.values(expected).flat())) {
        await publishOthers();
        await bus.publish(t.topic(topic), topic);
      }
      await publishOthers();
      await Promise.all(
        groups.map(async ({ pattern, topics, group }) => {
          const got = await listen<string>(t, bus, pattern, { group });
          await t.until(
            () => `${pattern} got ${topics.join(', ')}; it has ${got.data.join(', ')}`,
            () => got.data.length >= topics.length,
          );
          await settled(t, bus, pattern, group);
          assert.deepEqual(got.data.toSorted(), topics.toSorted(), `pattern ${pattern}`);
        }),
      );
    },
  },
  {
    id: 'patterns/later-topic',
    name: 'a topic that is first published to after the subscription matches, from its first message on',
    needs: NEEDS,
    refused,
    async run(t) {
      const [bus, publisher] = [await t.bus(), await t.bus()];
      const got = await listen<number>(t, bus, t.topic('*.created'));
      const live = await listen<number>(t, bus, t.topic('*.created'), { group: undefined });
      for (const n of numbers(10)) await publisher.publish(t.topic(`new${n}.created`), n);
      await t.until('all came', () => got.data.length >= 10 && live.data.length >= 10);
      for (const { data } of [got, live]) {
        assert.deepEqual(distinct(data), numbers(10));
        assert.equal(data.length, 10, 'each once');
      }
    },
  },
  {
    id: 'patterns/overlapping',
    name: 'of overlapping patterns in one bus each subscription gets a message once, also under one group name',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus();
      const all = ['x.y', 'x.*', '*.y', 'x.#', '#.y', '#'].map((pattern) => t.topic(pattern));
      const subscribed = await Promise.all(
        all.flatMap((pattern) =>
          [undefined, t.name('shared'), t.name(`own${all.indexOf(pattern)}`)].map((group) =>
            listen<number>(t, bus, pattern, { group }),
          ),
        ),
      );
      for (const n of numbers(5)) await bus.publish(t.topic('x.y'), n);
      await t.until('each has all', () => subscribed.every(({ data }) => data.length >= 5));
      await bus.publish(t.topic('x.y'), 5);
      await t.until('each has the last', () => subscribed.every(({ data }) => data.includes(5)));
      for (const { data } of subscribed) assert.deepEqual(data.toSorted(), numbers(6));
    },
  },
  {
    id: 'patterns/same-pattern-twice',
    name: 'two subscriptions to one pattern in one bus get a copy each without a group, and share with one',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus();
      const pattern = t.topic('*');
      const live = await Promise.all([1, 2].map(() => listen<number>(t, bus, pattern, { group: undefined })));
      const members = await Promise.all([1, 2].map(() => listen<number>(t, bus, pattern)));
      await Promise.all(numbers(40).map((n) => bus.publish(t.topic(`t${n % 4}`), n)));
      const shared = (): number[] => members.flatMap(({ data }) => data);
      await t.until('all came', () => live.every(({ data }) => data.length >= 40) && shared().length >= 40);
      for (const { data } of live) assert.deepEqual(ascending(data), numbers(40));
      assert.deepEqual(ascending(shared()), numbers(40));
    },
  },
  {
    id: 'patterns/group',
    name: 'the members of a group share the messages of all topics of their pattern',
    needs: NEEDS,
    refused,
    async run(t) {
      const buses = [await t.bus(), await t.bus(), await t.bus()];
      const members = await Promise.all(buses.map((bus) => listen<number>(t, bus, t.topic('#.done'))));
      const other = await listen<number>(t, buses[0]!, t.topic('#.done'), { group: t.name('other') });
      await Promise.all(numbers(60).map((n) => buses[n % 3]!.publish(t.topic(`t${n % 7}.x.done`), n)));
      const all = (): number[] => members.flatMap(({ data }) => data);
      await t.until('all came', () => all().length >= 60 && other.data.length >= 60);
      assert.deepEqual(ascending(all()), numbers(60));
      assert.deepEqual(ascending(other.data), numbers(60));
    },
  },
  {
    id: 'patterns/1000-topics',
    name: '1,000 topics under one pattern',
    needs: NEEDS,
    refused,
    timeout: 180_000,
    async run(t) {
      const bus = await t.bus({ publishTimeout: 120_000 });
      const got = await listen<number>(t, bus, t.topic('*.event'), { concurrency: 50 });
      const one = await listen<number>(t, bus, t.topic('n500.event'));
      await Promise.all(numbers(1_000).map((n) => bus.publish(t.topic(`n${n}.event`), n)));
      await t.until('all came', () => got.data.length >= 1_000 && one.data.length >= 1, 150_000);
      assert.deepEqual(ascending(got.data), numbers(1_000));
      assert.deepEqual(one.data, [500]);
    },
  },
  {
    id: 'patterns/unsubscribe-one',
    name: 'ending one of two overlapping subscriptions leaves the other as it was',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus();
      const got = await listen<number>(t, bus, t.topic('#'));
      const gone = t.collector<number>();
      const subscription = await bus.subscribe<number>(t.topic('a.*'), gone.handle);
      await bus.publish(t.topic('a.b'), 1);
      await t.until('both have it', () => got.data.length >= 1 && gone.data.length >= 1);
      await subscription.unsubscribe();
      await bus.publish(t.topic('a.b'), 2);
      await t.until('the other has the second', () => got.data.length >= 2);
      assert.deepEqual([got.data, gone.data], [[1, 2], [1]]);
    },
  },
]);
