import assert from 'node:assert/strict';
import { UnsupportedError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';

/** Milliseconds that a message may be early: the server's clock is not ours. */
const EARLY = 30;

const DAY = 24 * 60 * 60 * 1_000;

const delayed: readonly Case[] = [
  {
    id: 'time/delay',
    name: 'a delayed message comes when it is due and not before, and holds up nobody',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const came: { data: unknown; at: number }[] = [];
      await bus.subscribe(topic, (message) => came.push({ data: message.data, at: Date.now() }), {
        group: t.name(),
      });
      const start = Date.now();
      await bus.publish(topic, 'later', { delay: 300 });
      await bus.publish(topic, 'now');
      await t.until('both came', () => came.length === 2);
      assert.deepEqual(
        came.map(({ data }) => data),
        ['now', 'later'],
      );
      assert.ok(came[1]!.at - start >= 300 - EARLY, `it came after ${came[1]!.at - start} ms`);
    },
    async refused(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      await rejection(UnsupportedError, () => bus.publish(topic, 1, { delay: 10 }), 'delay');
      await rejection(UnsupportedError, () => bus.publish(topic, 1, { deliverAt: new Date() }), 'deliverAt');
      await t.after(
        () => bus.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      assert.deepEqual(got.data, ['marker']);
    },
  },
  {
    id: 'time/deliver-at',
    name: 'a message with a date comes then; one with a date in the past comes at once',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const came: { data: unknown; at: number }[] = [];
      await bus.subscribe(topic, (message) => came.push({ data: message.data, at: Date.now() }), {
        group: t.name(),
      });
      const due = Date.now() + 300;
      await bus.publish(topic, 'future', { deliverAt: new Date(due) });
      await bus.publish(topic, 'past', { deliverAt: new Date(due - DAY) });
      await t.until('both came', () => came.length === 2);
      assert.deepEqual(
        came.map(({ data }) => data),
        ['past', 'future'],
      );
      assert.ok(came[1]!.at >= due - EARLY, `it came ${due - came[1]!.at} ms early`);
    },
  },
  {
    id: 'time/delays-of-many',
    name: 'a hundred messages with delays of their own all come once, none of them early',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const early: string[] = [];
      const got = t.collector<{ n: number; due: number }>();
      await bus.subscribe<{ n: number; due: number }>(
        topic,
        (message) => {
          got.handle(message);
          const left = message.data.due - Date.now();
          if (left > EARLY) early.push(`${message.data.n} by ${left} ms`);
        },
        { group: t.name(), concurrency: 10 },
      );
      const publishes = Array.from({ length: 100 }, (_, n) => {
        const delay = 50 + ((n * 37) % 250);
        return bus.publish(topic, { n, due: Date.now() + delay }, { delay });
      });
      await Promise.all(publishes);
      await t.until('all came', () => got.data.length >= 100);
      await bus.publish(topic, { n: -1, due: 0 });
      await t.until('the marker came', () => got.data.some(({ n }) => n === -1));
      assert.deepEqual(early, []);
      assert.equal(got.data.length, 101);
    },
  },
  {
    id: 'time/delay-outlives-its-publisher',
    name: 'a delayed message comes although its publisher has closed, and waits for a group with no member',
    needs: ['delay'],
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const publisher = await t.bus();
      await standingGroup(publisher, topic, group);
      await publisher.publish(topic, 'later', {
        delay: 200,
        headers: { a: 'b' },
        key: 'k',
        id: t.name('id'),
      });
      await publisher.close();
      const bus = await t.bus();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await t.until('it came', () => got.messages.length === 1);
      const [message] = got.messages;
      assert.equal(message!.data, 'later');
      assert.deepEqual({ ...message!.headers }, { a: 'b' });
      assert.equal(message!.key, 'k');
      assert.equal(message!.id, t.name('id'));
      assert.equal(message!.attempt, 1);
    },
  },
  {
    id: 'time/delay-for-all',
    name: 'a delayed message reaches every group and every live subscription once',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const all = [t.collector(), t.collector(), t.collector(), t.collector()];
      const groups = [t.name('a'), t.name('b'), undefined, undefined];
      await Promise.all(all.map((got, n) => bus.subscribe(topic, got.handle, { group: groups[n] })));
      await bus.publish(topic, 'later', { delay: 100 });
      await t.until('all have it', () => all.every((got) => got.data.includes('later')));
      await bus.publish(topic, 'marker');
      await t.until('all have the marker', () => all.every((got) => got.data.includes('marker')));
      for (const got of all) assert.deepEqual(got.data, ['later', 'marker']);
    },
  },
  {
    id: 'time/delay-of-weeks',
    name: 'a delay of weeks is taken and does not end at once',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      // 2^31 milliseconds are the longest timer of Node, and a common limit of servers.
      const receipt = await bus.publish(topic, 'in weeks', { delay: 40 * DAY });
      await bus.publish(topic, 'soon', { delay: 100 });
      await t.until('the other came', () => got.data.includes('soon'));
      assert.deepEqual(got.data, ['soon']);
      if (t.capabilities.cancel !== 'none') assert.equal(await bus.cancel(receipt), true);
    },
  },
  {
    id: 'time/delay-beyond-maximum',
    name: "a delay longer than the server's own maximum is held to its end",
    needs: ['delay'],
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus({}, t.shortDelay);
      const topic = t.topic();
      const { maxNativeDelay } = bus.capabilities.limits;
      const came: number[] = [];
      await bus.subscribe(topic, () => came.push(Date.now()), { group: t.name() });
      const start = Date.now();
      if (maxNativeDelay <= 2_000) {
        const delay = Math.round(maxNativeDelay * 2.5) + 300;
        await bus.publish(topic, 1, { delay });
        await t.until('it came', () => came.length > 0, delay + 20_000);
        assert.ok(came[0]! - start >= delay - EARLY, `it came after ${came[0]! - start} ms of ${delay}`);
        return;
      }
      // Too long to wait for: it must at least be taken, and not come at once.
      const delay = Number.isFinite(maxNativeDelay) ? maxNativeDelay + 60_000 : 365 * DAY;
      const receipt = await bus.publish(topic, 1, { delay });
      await t.quiet('it does not come', () => came.length === 0, 100);
      if (t.capabilities.cancel !== 'none') assert.equal(await bus.cancel(receipt), true);
    },
  },
  {
    id: 'time/delay-and-date',
    name: 'a delay together with a date is refused',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const options = { delay: 10, deliverAt: new Date() };
      await rejection(ValidationError, () => bus.publish(t.topic(), 1, options), 'delay', 'deliverAt');
    },
  },
];

const cancelled: readonly Case[] = [
  {
    id: 'time/cancel',
    name: 'a cancelled message never comes, and cancelling it again says that there is none',
    needs: ['delay', 'cancel'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const doomed = await bus.publish(topic, 'cancelled', { delay: 1_500 });
      const kept = bus.publish(topic, 'kept', { delay: 1_520 });
      assert.equal(await bus.cancel(doomed), true);
      assert.equal(await bus.cancel(doomed), false);
      await kept;
      await t.until('the other came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['kept']);
    },
    async refused(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await rejection(UnsupportedError, () => bus.cancel({ id: 'any', topic }), 'cancel');
    },
  },
  {
    id: 'time/cancel-too-late',
    name: 'cancelling what was delivered, or never was, does nothing and says so',
    needs: ['delay', 'cancel'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const receipt = await bus.publish(topic, 1, { delay: 50 });
      await t.until('it came', () => got.data.length === 1);
      assert.equal(await bus.cancel(receipt), false);
      assert.equal(await bus.cancel({ id: t.name('unknown'), topic }), false);
      assert.equal(await bus.cancel({ id: receipt.id, topic: t.topic('other') }), false);
    },
  },
  {
    id: 'time/cancel-from-another-bus',
    name: 'a receipt cancels on another bus, too',
    needs: ['delay', 'cancel'],
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const receipt = await bus.publish(topic, 'cancelled', { delay: 1_500 });
      assert.equal(await other.cancel(JSON.parse(JSON.stringify(receipt))), true);
      await bus.publish(topic, 'kept', { delay: 1_520 });
      await t.until('the other came', () => got.data.length > 0);
      assert.deepEqual(got.data, ['kept']);
    },
  },
];

/** Delayed publishes. */
export const time: readonly Case[] = chapter('time', [...delayed, ...cancelled]);
