import assert from 'node:assert/strict';
import { type StartPosition, UnsupportedError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { groupInfo } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { ascending, numbers } from '../helpers/sequence.ts';

/** Milliseconds around a date: more than the server's clock, or its storage of times, can be off on one machine. */
const APART = 50;

async function refuse(t: CaseContext, from: StartPosition): Promise<void> {
  const bus = await t.bus();
  for (const group of [t.name(), undefined]) {
    await rejection(UnsupportedError, () => bus.subscribe(t.topic(), () => {}, { group, from }), '"from"');
  }
  assert.equal(bus.stats().subscriptions, 0);
}

const now = async (t: CaseContext): Promise<Date> => {
  const start = Date.now();
  await t.until('time has passed', () => Date.now() >= start + APART);
  const date = new Date();
  await t.until('more time has passed', () => Date.now() >= date.getTime() + APART);
  return date;
};

/** Where a subscription starts, and what a live one is. */
export const groupsStart: readonly Case[] = chapter('groups', [
  {
    id: 'groups/late-from-new',
    name: 'a late group gets what is published after its subscribe resolved, unless it asks for more',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const early = await listen(t, bus, topic, { group: t.name('early') });
      await bus.publish(topic, 'before', { key: 'k' });
      await t.until('it came', () => early.data.length > 0);
      const late = await listen(t, bus, topic, { group: t.name('late') });
      await t.after(
        () => bus.publish(topic, 'after', { key: 'k' }),
        () => late.data.includes('after'),
      );
      assert.deepEqual(late.data, ['after']);
    },
  },
  {
    id: 'groups/late-from-earliest',
    name: 'a late group gets all from the earliest on, in order of each key, and what comes after',
    needs: ['replay'],
    refused: (t) => refuse(t, 'earliest'),
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const early = await listen<number>(t, bus, topic, { group: t.name('early') });
      for (const n of numbers(20)) await bus.publish(topic, n, { key: 'k' });
      await t.until('the first group has all', () => early.data.length >= 20);
      const late = await listen<number>(t, bus, topic, { group: t.name('late'), from: 'earliest' });
      await bus.publish(topic, 20, { key: 'k' });
      await t.until('all came', () => late.data.length >= 21);
      assert.deepEqual(late.data, numbers(21));
      for (const { attempt } of late.messages) assert.equal(attempt, 1);
      assert.deepEqual(early.data, numbers(21).slice(0, early.data.length));
    },
  },
  {
    id: 'groups/late-from-earliest-pattern',
    name: 'from the earliest works for a pattern: of all topics that match, and of no others',
    needs: ['replay', 'wildcards'],
    async run(t) {
      const bus = await t.bus();
      for (const n of numbers(12)) await bus.publish(t.topic(`t${n % 3}.x`), n);
      await bus.publish(t.topic('t0.y'), -1);
      const got = await listen<number>(t, bus, t.topic('*.x'), { from: 'earliest' });
      await t.until('all came', () => got.data.length >= 12);
      await bus.publish(t.topic('t9.x'), 12);
      await t.until('the last came', () => got.data.includes(12));
      assert.deepEqual(ascending(got.data), numbers(13));
    },
  },
  {
    id: 'groups/late-from-date',
    name: 'a late group, and a live subscription, get what was published from a date on',
    needs: ['replayFromDate'],
    refused: (t) => refuse(t, new Date()),
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      for (const n of numbers(5)) await bus.publish(topic, n);
      const from = await now(t);
      for (const n of numbers(5)) await bus.publish(topic, n + 5);
      const late = await listen<number>(t, bus, topic, { from });
      const live = await listen<number>(t, bus, topic, { group: undefined, from });
      const future = await listen<number>(t, bus, topic, { group: t.name('all'), from: new Date(0) });
      await bus.publish(topic, 10);
      await t.until(
        'all came',
        () => late.data.length >= 6 && live.data.length >= 6 && future.data.length >= 11,
      );
      for (const { data } of [late, live]) assert.deepEqual(ascending(data), numbers(11).slice(5));
      assert.deepEqual(ascending(future.data), numbers(11));
    },
  },
  {
    id: 'groups/from-a-date-to-come',
    name: 'where a group starts must have passed, but for as much as two clocks may differ',
    needs: ['replayFromDate'],
    refused: (t) => refuse(t, new Date()),
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const tomorrow = new Date(Date.now() + 86_400_000);
      await rejection(ValidationError, () => bus.subscribe(topic, () => {}, { from: tomorrow }), 'from');
      if (t.capabilities.admin !== 'none') {
        const ensure = () => bus.admin.ensureGroup(topic, t.name(), tomorrow);
        await rejection(ValidationError, ensure, 'starts');
      }
      await bus.publish(topic, 0);
      const soon = { from: new Date(Date.now() + 10_000) };
      const late = await listen<number>(t, bus, topic, soon);
      const live = await listen<number>(t, bus, topic, { group: undefined, ...soon });
      await bus.publish(topic, 1);
      await t.until('both came', () => late.data.length > 0 && live.data.length > 0);
      assert.deepEqual([...late.data, ...live.data], [1, 1]);
    },
  },
  {
    id: 'groups/from-another-group',
    name: 'where one group starts and how far it is changes nothing for another',
    needs: ['replay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      for (const n of numbers(5)) await bus.publish(topic, n);
      const started = await Promise.all(
        (['new', 'earliest', 'new', 'earliest'] as const).map((from, n) =>
          listen<number>(t, bus, topic, { group: t.name(`g${n}`), from }),
        ),
      );
      await bus.publish(topic, 5);
      await t.until('each has its own', () =>
        started.every(({ data }, n) => data.length >= (n % 2 === 0 ? 1 : 6)),
      );
      for (const [n, { data }] of started.entries()) {
        assert.deepEqual(ascending(data), n % 2 === 0 ? [5] : numbers(6));
      }
    },
  },
  {
    id: 'groups/live-copies',
    name: 'live subscriptions get a copy each of what is published after they are there, and nothing from before',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      await bus.publish(topic, -1);
      const live = await Promise.all(
        [bus, bus, other].map((one) => listen<number>(t, one, topic, { group: undefined })),
      );
      await Promise.all(numbers(30).map((n) => (n % 2 === 0 ? bus : other).publish(topic, n)));
      await t.until('each has all', () => live.every(({ data }) => data.length >= 30));
      for (const { data, messages } of live) {
        assert.deepEqual(ascending(data), numbers(30));
        for (const { attempt, group } of messages) assert.deepEqual([attempt, group], [1, undefined]);
      }
    },
  },
  {
    id: 'groups/live-from-earliest',
    name: 'a live subscription from the earliest gets what is stored and goes on live',
    needs: ['replay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      for (const n of numbers(10)) await bus.publish(topic, n, { key: 'k' });
      const live = await Promise.all(
        [1, 2].map(() => listen<number>(t, bus, topic, { group: undefined, from: 'earliest' })),
      );
      await bus.publish(topic, 10, { key: 'k' });
      await t.until('all came', () => live.every(({ data }) => data.length >= 11));
      for (const { data } of live) assert.deepEqual(data, numbers(11));
    },
  },
  {
    id: 'groups/live-nothing-waits',
    name: 'what is published while a live subscription is away never comes to it',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const first = t.collector();
      const subscription = await bus.subscribe(topic, first.handle);
      await bus.publish(topic, 1);
      await t.until('it came', () => first.data.length > 0);
      await subscription.unsubscribe();
      await bus.publish(topic, 2);
      const second = await listen(t, bus, topic, { group: undefined });
      await t.after(
        () => bus.publish(topic, 3),
        () => second.data.includes(3),
      );
      assert.deepEqual([first.data, second.data], [[1], [3]]);
    },
  },
  {
    id: 'groups/live-leaves-nothing',
    name: 'a live subscription leaves nothing behind on the server, nor does a bus that is closed under it',
    needs: ['admin'],
    async run(t) {
      const observer = await t.bus();
      await observer.connect();
      const left = async (): Promise<unknown> =>
        (await observer.admin.listGroups()).filter(({ pattern }) => pattern.startsWith(t.topic('')));
      const bus = await t.bus();
      const subscriptions = await Promise.all(
        ['a', 'b', 'c'].map((name) => bus.subscribe(t.topic(name), () => {})),
      );
      await bus.publish(t.topic('a'), 1);
      await subscriptions[0]!.unsubscribe();
      await bus.close();
      assert.deepEqual(await left(), []);
    },
  },
  {
    id: 'groups/stays-when-members-leave',
    name: 'a group stays on the server, with what waits for it, when its last member leaves',
    needs: ['admin'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const subscription = await bus.subscribe(topic, () => {}, { group: t.name() });
      await subscription.unsubscribe();
      await bus.publish(topic, 1);
      const found = await t.until('it waits for the group', async () => {
        const info = await groupInfo(bus, topic, t.name());
        return info?.depth === 1 ? info : undefined;
      });
      assert.equal(found.pattern, topic);
      assert.equal(found.members, 0);
    },
  },
]);
