import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { startChild } from '../child/start.ts';
import { standingGroup } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { ascending, distinct, numbers } from '../helpers/sequence.ts';

/** Competing consumers. */
export const groups: readonly Case[] = chapter('groups', [
  {
    id: 'groups/each-gets-all',
    name: 'every group gets every message; within a group each goes to one member, none twice, none to nobody',
    async run(t) {
      const buses = [await t.bus(), await t.bus(), await t.bus()];
      const topic = t.topic();
      const all = await Promise.all(
        ['one', 'two', 'three'].map((name) =>
          Promise.all(buses.map((bus) => listen<number>(t, bus, topic, { group: t.name(name) }))),
        ),
      );
      await Promise.all(numbers(90).map((n) => buses[n % 3]!.publish(topic, n)));
      const of = (members: (typeof all)[number]): number[] => members.flatMap(({ data }) => data);
      await t.until('each group has all', () => all.every((members) => of(members).length >= 90));
      for (const members of all) assert.deepEqual(ascending(of(members)), numbers(90));
    },
  },
  {
    id: 'groups/each-member-has-a-share',
    name: 'each member of a group gets a share of the work',
    timeout: 60_000,
    async run(t) {
      const topic = t.topic();
      const members = await Promise.all(
        numbers(3).map(async () => listen<number>(t, await t.bus(), topic, { prefetch: 1 })),
      );
      const publisher = await t.bus();
      let sent = 0;
      await t.until(
        'each has had some',
        async () => {
          await Promise.all(numbers(10).map(() => publisher.publish(topic, sent++)));
          return members.every(({ data }) => data.length > 0);
        },
        40_000,
      );
      await t.until('all came', () => members.flatMap(({ data }) => data).length >= sent);
      assert.deepEqual(ascending(members.flatMap(({ data }) => data)), numbers(sent));
    },
  },
  {
    id: 'groups/members-in-one-bus',
    name: 'two subscriptions of one bus in one group share like any members',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const members = await Promise.all(numbers(2).map(() => listen<number>(t, bus, topic)));
      await Promise.all(numbers(50).map((n) => bus.publish(topic, n)));
      await t.until('all came', () => members.flatMap(({ data }) => data).length >= 50);
      assert.deepEqual(ascending(members.flatMap(({ data }) => data)), numbers(50));
    },
  },
  {
    id: 'groups/same-name-other-topic',
    name: 'groups of one name on different topics have nothing to do with each other',
    async run(t) {
      const bus = await t.bus();
      const [a, b] = [await listen(t, bus, t.topic('a')), await listen(t, bus, t.topic('b'))];
      await bus.publish(t.topic('a'), 'a');
      await bus.publish(t.topic('b'), 'b');
      await t.until('both came', () => a.data.length > 0 && b.data.length > 0);
      assert.deepEqual([a.data, b.data], [['a'], ['b']]);
    },
  },
  {
    id: 'groups/waits-without-members',
    name: 'messages wait for a group that has no member up, and come with attempt 1',
    async run(t) {
      const topic = t.topic();
      const first = await t.bus();
      const before = await listen<number>(t, first, topic);
      await first.publish(topic, 0);
      await t.until('it came', () => before.data.length > 0);
      await first.close();
      const publisher = await t.bus();
      for (const n of numbers(20)) await publisher.publish(topic, n + 1);
      await publisher.close();
      const got = await listen<number>(t, await t.bus(), topic);
      await t.until('all came', () => got.data.length >= 20);
      assert.deepEqual(ascending(got.data), numbers(21).slice(1));
      for (const { attempt } of got.messages) assert.equal(attempt, 1);
      assert.deepEqual(before.data, [0]);
    },
  },
  {
    id: 'groups/waits-on-later-topics',
    name: 'messages on topics that are created while no member is up wait for a group whose pattern they match',
    needs: ['wildcards'],
    async run(t) {
      const bus = await t.bus();
      await standingGroup(bus, t.topic('*.created'), t.name());
      const publisher = await t.bus();
      for (const n of numbers(5)) await publisher.publish(t.topic(`new${n}.created`), n);
      const got = await listen<number>(t, await t.bus(), t.topic('*.created'));
      await t.until('all came', () => got.data.length >= 5);
      assert.deepEqual(ascending(got.data), numbers(5));
    },
  },
  {
    id: 'groups/goes-on-where-it-was',
    name: 'a group that comes back goes on where it was, whatever it asks to start from',
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      for (const round of numbers(3)) {
        const from = bus.capabilities.replay !== 'none' && round > 0 ? 'earliest' : 'new';
        if (round > 0) await bus.publish(topic, `waits ${round}`, { key: 'k' });
        const got = t.collector<string>();
        const subscription = await bus.subscribe<string>(topic, got.handle, { group: t.name(), from });
        await bus.publish(topic, `comes ${round}`, { key: 'k' });
        await t.until('the last came', () => got.data.includes(`comes ${round}`));
        await subscription.unsubscribe();
        const expected = round === 0 ? ['comes 0'] : [`comes ${round}`, `waits ${round}`];
        assert.deepEqual(got.data.toSorted(), expected);
      }
    },
  },
  {
    id: 'groups/leaving-gives-back',
    name: 'what a leaving member has prefetched and not handled goes to others, uncounted and not to the dead letters',
    async run(t) {
      const dead = t.topic('dead');
      const [leaving, staying] = [
        await t.bus({ deadLetter: { topic: dead } }),
        await t.bus({ deadLetter: { topic: dead } }),
      ];
      const letters = await listen(t, staying, dead, { group: t.name('dead') });
      const topic = t.topic();
      const gate = Promise.withResolvers<void>();
      const handled: Message<number>[] = [];
      const block = async (message: Message<number>): Promise<void> => {
        handled.push(message);
        await gate.promise;
      };
      await leaving.subscribe<number>(topic, block, { group: t.name(), prefetch: 50 });
      await Promise.all(numbers(30).map((n) => leaving.publish(topic, n)));
      await t.until('it handles the first', () => handled.length > 0);
      const closing = leaving.close();
      const got = await listen<number>(t, staying, topic);
      await t.until('the others came', () => got.data.length >= 29);
      gate.resolve();
      await closing;
      assert.equal(handled.length, 1, 'no further handler started');
      await t.after(
        () => staying.publish(topic, 30),
        () => got.data.includes(30),
      );
      assert.deepEqual(ascending([...handled.map(({ data }) => data), ...got.data]), numbers(31));
      for (const { attempt, data } of got.messages) assert.equal(attempt, 1, `message ${data}`);
      assert.deepEqual(letters.data, []);
    },
  },
  {
    id: 'groups/rebalance',
    name: 'members join and leave under load, and nothing is lost',
    timeout: 120_000,
    async run(t) {
      const topic = t.topic();
      const publisher = await t.bus();
      const seen: number[] = [];
      const handle = async ({ data }: Message<number>): Promise<void> => {
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(data);
      };
      const join = async (): Promise<Awaited<ReturnType<typeof t.bus>>> => {
        const bus = await t.bus();
        await bus.subscribe<number>(topic, handle, { group: t.name(), concurrency: 4 });
        return bus;
      };
      const members = [await join(), await join()];
      let sent = 0;
      const publish = async (): Promise<void> => {
        for (let i = 0; i < 20; i++) {
          await Promise.all(
            numbers(10).map(() => publisher.publish(topic, sent++, { key: `k${sent % 16}` })),
          );
        }
      };
      for (let round = 0; round < 4; round++) {
        const publishing = publish();
        members.push(await join());
        await members.shift()!.close();
        await publishing;
      }
      await t.until('all were handled', () => distinct(seen).length >= sent, 90_000);
      assert.deepEqual(distinct(seen), numbers(sent));
      t.note('duplicates', seen.length - sent);
    },
  },
  {
    id: 'groups/two-processes',
    name: 'two buses in two processes share a group',
    power: ['processes'],
    timeout: 90_000,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const here = await listen<number>(t, bus, topic, { prefetch: 1 });
      const child = await startChild(t);
      await child.call({ do: 'subscribe', topic, options: { group: t.name() }, takes: 0 });
      let sent = 0;
      await t.until(
        'both have had some',
        async () => {
          await Promise.all(numbers(10).map(() => bus.publish(topic, sent++)));
          return here.data.length > 0 && child.handled.length > 0;
        },
        40_000,
      );
      const all = (): number[] => [...here.data, ...child.handled.map(({ data }) => data as number)];
      await t.until('all came', () => all().length >= sent, 30_000);
      await child.call({ do: 'close' });
      assert.deepEqual(ascending(all()), numbers(sent));
    },
  },
]);
