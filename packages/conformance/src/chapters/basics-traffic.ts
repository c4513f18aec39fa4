import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { type Bus, PublishError, UnsupportedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const EPHEMERAL = { durability: 'ephemeral' } as const;

/**
 * Waits until all that was published to an ephemeral topic before has gone by: in a cluster it is on its way for a moment,
 * as is the news of who listens.
 */
async function passed(t: CaseContext, buses: readonly Bus[], topic: string): Promise<void> {
  const witnesses = await Promise.all(
    buses.map(async (bus) => {
      const got = t.collector();
      return { got, subscription: await bus.subscribe(topic, got.handle) };
    }),
  );
  let count = 0;
  await t.until('the last went by', async () => {
    const last = ++count;
    await buses[0]!.publish(topic, last);
    const went = (): boolean => witnesses.every(({ got }) => got.data.includes(last));
    for (let look = 0; look < 50 && !went(); look++) await setTimeout(10);
    return went();
  });
  await Promise.all(witnesses.map(({ subscription }) => subscription.unsubscribe()));
}

/** Who gets what. */
export const basicsTraffic: readonly Case[] = chapter('basics', [
  {
    id: 'basics/topics-do-not-leak',
    name: 'a subscription gets what is published to its topic, and nothing of a topic with a similar name',
    async run(t) {
      const bus = await t.bus();
      const got = await listen(t, bus, t.topic('a.b'));
      const others = ['a', 'a.c', 'b', 'a.b.c', 'a.bc', 'A.B', 'a.B', 'x.a.b'];
      for (const other of others) await bus.publish(t.topic(other), other);
      await t.after(
        () => bus.publish(t.topic('a.b'), 'mine'),
        () => got.data.includes('mine'),
      );
      assert.deepEqual(got.data, ['mine']);
    },
  },
  {
    id: 'basics/similar-names',
    name: 'topics and groups whose names differ only in dots, dashes, underscores or case are apart',
    async run(t) {
      const bus = await t.bus();
      const names = ['a.b', 'a_b', 'a-b', 'a--b', 'a-.b', 'a.-b', 'a__b', 'A.b', 'a.B', 'a_.b', 'a._b'];
      const subscribed = await Promise.all(
        names.map(async (name) => ({ name, got: await listen(t, bus, t.topic(name)) })),
      );
      await Promise.all(names.map((name) => bus.publish(t.topic(name), name)));
      await t.until('each came', () => subscribed.every(({ got }) => got.data.length > 0));
      for (const { name, got } of subscribed) assert.deepEqual(got.data, [name]);

      const topic = t.topic('groups');
      const groups = ['g-1', 'g_1', 'G-1', 'g--1', 'g-_1'].map((name) => t.name(name));
      const members = await Promise.all(groups.map((group) => listen(t, bus, topic, { group })));
      await bus.publish(topic, 1);
      await t.until('each group has it', () => members.every((got) => got.data.length > 0));
      for (const got of members) assert.deepEqual(got.data, [1]);
    },
  },
  {
    id: 'basics/20-topics',
    name: '20 topics at once get each its own messages',
    async run(t) {
      const bus = await t.bus();
      const topics = numbers(20).map((n) => t.topic(`t${n}`));
      const got = await Promise.all(topics.map((topic) => listen<string>(t, bus, topic)));
      await Promise.all(
        topics.flatMap((topic) => numbers(20).map((n) => bus.publish(topic, `${topic} ${n}`))),
      );
      await t.until('all came', () => got.every(({ data }) => data.length >= 20));
      for (const [index, { data }] of got.entries()) {
        assert.deepEqual(
          data.toSorted(),
          numbers(20)
            .map((n) => `${topics[index]} ${n}`)
            .toSorted(),
        );
      }
    },
  },
  {
    id: 'basics/no-subscriber',
    name: 'publishing what nobody subscribes to succeeds',
    async run(t) {
      const bus = await t.bus();
      const receipt = await bus.publish(t.topic('nobody'), 1);
      assert.ok(receipt.id.length > 0);
      assert.equal(bus.stats().published, 1);
    },
  },
  {
    id: 'basics/many-to-many',
    name: '5,000 messages of 50 publishers reach 50 subscribers: each message one of them, none lost',
    timeout: 60_000,
    async run(t) {
      const buses = await Promise.all(numbers(5).map(() => t.bus()));
      const topic = t.topic();
      const members = await Promise.all(
        numbers(50).map((n) => listen<number>(t, buses[n % 5]!, topic, { concurrency: 10 })),
      );
      await Promise.all(
        numbers(50).map(async (publisher) => {
          const bus = buses[publisher % 5]!;
          for (const n of numbers(100)) await bus.publish(topic, publisher * 100 + n);
        }),
      );
      const all = (): number[] => members.flatMap(({ data }) => data);
      await t.until('all came', () => all().length >= 5_000, 40_000);
      assert.deepEqual(distinct(all()), numbers(5_000));
      assert.equal(all().length, 5_000, 'none came twice');
    },
  },
  {
    id: 'basics/subscribe-is-in-place',
    name: 'when subscribe resolves, the next message from anywhere arrives',
    async run(t) {
      const [here, there] = [await t.bus(), await t.bus()];
      await there.connect();
      for (const n of numbers(5)) {
        const topic = t.topic(`t${n}`);
        const live = await listen(t, here, topic, { group: undefined });
        const member = await listen(t, here, topic);
        await there.publish(topic, n);
        await t.until('both have it', () => live.data.length > 0 && member.data.length > 0);
        assert.deepEqual([live.data, member.data], [[n], [n]]);
      }
    },
  },
  {
    id: 'basics/publish-many',
    name: 'publishMany returns receipts in the order of its entries, and each entry has its own options',
    async run(t) {
      const bus = await t.bus();
      const got = await listen(t, bus, t.topic('a'));
      const other = await listen(t, bus, t.topic('b'));
      const receipts = await bus.publishMany([
        { topic: t.topic('a'), data: 1, id: 'one', headers: { n: '1' } },
        { topic: t.topic('b'), data: 2, id: 'two' },
        { topic: t.topic('a'), data: 3, key: 'k' },
      ]);
      assert.deepEqual(
        receipts.map(({ topic }) => topic),
        ['a', 'b', 'a'].map((name) => t.topic(name)),
      );
      assert.deepEqual(
        receipts.slice(0, 2).map(({ id }) => id),
        ['one', 'two'],
      );
      await t.until('all came', () => got.data.length >= 2 && other.data.length >= 1);
      const [first, third] = got.messages.toSorted((a, b) => Number(a.data) - Number(b.data));
      assert.deepEqual([first!.id, { ...first!.headers }, first!.key], ['one', { n: '1' }, undefined]);
      assert.deepEqual([third!.id, { ...third!.headers }, third!.key], [receipts[2]!.id, {}, 'k']);
      assert.deepEqual(await bus.publishMany([]), []);
    },
  },
  {
    id: 'basics/publish-many-failures',
    name: 'publishMany names by index what was not accepted; all others arrive',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const entries = numbers(10).map((n) => ({ topic, data: n as unknown }));
      entries[3] = { topic, data: () => 'a function' };
      entries[7] = { topic: 'no topic!', data: 7 };
      const error = await rejection(PublishError, () => bus.publishMany(entries), '2 of 10', 'number 3');
      assert.deepEqual(
        error.failures.map((failure) => [failure.index, failure.error.code]),
        [
          [3, 'SERIALIZATION'],
          [7, 'VALIDATION'],
        ],
      );
      await t.until('the others came', () => got.data.length >= 8);
      assert.deepEqual(distinct(got.data as number[]), [0, 1, 2, 4, 5, 6, 8, 9]);
    },
  },
  {
    id: 'basics/ephemeral',
    name: 'on an ephemeral topic who listens gets the message, and nobody gets it later',
    needs: ['ephemeral'],
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus({ topics: { [topic]: EPHEMERAL } });
      const other = await t.bus({ topics: { [topic]: EPHEMERAL } });
      await bus.publish(topic, 'nobody listens');
      await passed(t, [bus, other], topic);
      const live = await Promise.all([bus, other].map((one) => listen(t, one, topic, { group: undefined })));
      const members = await Promise.all([bus, other].map((one) => listen(t, one, topic)));
      for (const n of numbers(20)) await other.publish(topic, n, { headers: { n: String(n) } });
      await t.until('all came', () => live.every(({ data }) => data.length >= 20));
      for (const { data } of live) {
        assert.equal(data.length, 20);
        assert.deepEqual(distinct(data as number[]), numbers(20));
      }
      await t.until('the group has all', () => members.flatMap(({ data }) => data).length >= 20);
      assert.deepEqual(distinct(members.flatMap(({ data }) => data as number[])), numbers(20));
      assert.equal(members.flatMap(({ data }) => data).length, 20);
      for (const { data, headers } of live[0]!.messages)
        assert.deepEqual({ ...headers }, { n: String(data) });
    },
    async refused(t) {
      await rejection(UnsupportedError, () => t.bus({ topics: { [t.topic()]: EPHEMERAL } }), 'ephemeral');
    },
  },
  {
    id: 'basics/ephemeral-in-a-pattern',
    name: 'a pattern over durable and ephemeral topics gets the messages of both',
    needs: ['ephemeral', 'wildcards'],
    async run(t) {
      const bus = await t.bus({ topics: { [t.topic('metrics.#')]: EPHEMERAL } });
      const got = await listen(t, bus, t.topic('#'));
      await bus.publish(t.topic('metrics.cpu'), 'ephemeral');
      await bus.publish(t.topic('orders'), 'durable');
      await t.until('both came', () => got.data.length >= 2);
      assert.deepEqual(got.data.toSorted(), ['durable', 'ephemeral']);
    },
  },
]);
