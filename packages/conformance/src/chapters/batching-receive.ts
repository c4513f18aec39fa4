import assert from 'node:assert/strict';
import { AbortError, BusError, ClosedError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { groupInfo, settled, standingGroup } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Messages that are asked for. */
export const batchingReceive: readonly Case[] = chapter('batching', [
  {
    id: 'batching/receive',
    name: 'receive pulls up to as many as asked for, none twice, and none when none is there',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
      await bus.publishMany(numbers(25).map((data) => ({ topic, data })));
      const seen: number[] = [];
      while (seen.length < 25) {
        const messages: Message[] = await bus.receive(topic, { group, max: 10, timeout: 5_000 });
        assert.ok(messages.length >= 1 && messages.length <= 10, `${messages.length} came`);
        for (const message of messages) {
          assert.equal(message.attempt, 1);
          seen.push(message.data);
          await message.ack();
        }
      }
      assert.deepEqual(distinct(seen), numbers(25));
      assert.equal(seen.length, 25);
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'batching/receive-waits',
    name: 'receive waits for a message that comes later, and several calls at once share what comes',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      const calls = numbers(5).map(() => bus.receive(topic, { group, timeout: 8_000 }));
      for (const n of numbers(5)) await bus.publish(topic, n);
      const messages = (await Promise.all(calls)).flat();
      await Promise.all(messages.map((message) => message.ack()));
      assert.deepEqual(distinct(messages.map(({ data }) => data as number)), numbers(5));
      assert.equal(messages.length, 5);
    },
  },
  {
    id: 'batching/receive-settles',
    name: 'a pulled message is settled by hand: nacked it comes again, dead-lettered it lies there',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const topic = t.topic();
      const group = t.name();
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      await standingGroup(bus, topic, group);
      await bus.publish(topic, 1);
      const [first] = await bus.receive(topic, { group, timeout: 5_000 });
      await first!.nack({ delay: 0 });
      const [second] = await bus.receive(topic, { group, timeout: 5_000 });
      assert.equal(second!.id, first!.id);
      assert.equal(second!.attempt, 2);
      await second!.deadLetter('no use');
      await t.until('it is dead', () => letters.messages.length === 1);
      assert.equal(letters.messages[0]!.failure!.reason, 'no use');
      assert.equal(letters.messages[0]!.failure!.attempts, 2);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'batching/receive-leaves-the-rest',
    name: 'what is not pulled stays with the broker for others, uncounted',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(20).map((data) => ({ topic, data })));
      const mine = await bus.receive(topic, { group, max: 5, timeout: 5_000 });
      assert.ok(mine.length >= 1 && mine.length <= 5);
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group });
      await t.until('the other has the rest', () => got.data.length === 20 - mine.length);
      assert.ok(got.messages.every(({ attempt }) => attempt === 1));
      await Promise.all(mine.map((message) => message.ack()));
      assert.deepEqual(distinct([...got.data, ...mine.map(({ data }) => data)]), numbers(20));
    },
  },
  {
    id: 'batching/receive-takes-what-it-asks-for',
    name: 'receive takes no more from the broker than it was asked for, whatever it still holds',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(40).map((data) => ({ topic, data })));
      const held: Message[] = [];
      while (held.length < 10) held.push(...(await bus.receive(topic, { group })));
      const taken = held.map(({ data }) => data as number);
      while (taken.length < 40) {
        const messages: Message[] = await bus.receive(topic, { group, max: 5 });
        assert.ok(messages.length > 0 && messages.length <= 5, `${messages.length} came`);
        taken.push(...messages.map(({ data }) => data as number));
        for (const message of [...messages, ...held.splice(0, 2)]) await message.ack();
      }
      assert.deepEqual(distinct(taken), numbers(40));
      assert.equal(taken.length, 40);
      const { delivered } = bus.stats();
      assert.ok(delivered <= 60, `${delivered} were delivered`);
      for (const message of held) await message.ack();
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'batching/receive-passes-a-busy-key',
    name: 'a key of which a receive holds a message does not keep the next one from what has none, or another',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(5).map((data) => ({ topic, data, key: 'busy' })));
      const [first] = await bus.receive(topic, { group });
      assert.equal(first!.data, 0);
      await bus.publishMany([
        { topic, data: 'other', key: 'other' },
        { topic, data: 'none' },
      ]);
      const passed: unknown[] = [];
      await t.until('both passed', async () => {
        const messages = await bus.receive(topic, { group, timeout: 500 });
        for (const message of messages) {
          passed.push(message.data);
          await message.ack();
        }
        return passed.length === 2;
      });
      assert.deepEqual(passed.toSorted(), ['none', 'other']);
      await first!.ack();
      for (const n of [1, 2, 3, 4]) {
        const [next] = await bus.receive(topic, { group });
        assert.deepEqual([next!.data, next!.attempt], [n, 1]);
        await next!.ack();
      }
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'batching/receive-at-once',
    name: 'calls of receive that wait do not hold each other up: neither a short one, an aborted one, nor what comes',
    async run(t) {
      const bus = await t.bus();
      const [topic, group] = [t.topic(), t.name()];
      await standingGroup(bus, topic, group);
      const controller = new AbortController();
      const first = bus.receive(topic, { group, timeout: 60_000 });
      const aborted = bus.receive(topic, { group, timeout: 60_000, signal: controller.signal });
      const start = performance.now();
      assert.deepEqual(await bus.receive(topic, { group, timeout: 0 }), []);
      controller.abort();
      assert.deepEqual(await aborted, []);
      const empty = await Promise.all(numbers(5).map(() => bus.receive(topic, { group, timeout: 100 })));
      assert.deepEqual(empty.flat(), []);
      assert.ok(performance.now() - start < 5_000, 'none waited for another');
      await bus.publish(topic, 'x');
      const [message] = await first;
      assert.equal(message!.data, 'x');
      await message!.ack();
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'batching/receive-abort',
    name: 'an aborted receive returns at once what has come, and takes nothing along',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      const controller = new AbortController();
      const waiting = bus.receive(topic, { group, timeout: 60_000, signal: controller.signal });
      await t.until('it waits', () => bus.stats().subscriptions === 1);
      const start = performance.now();
      controller.abort(new Error('enough'));
      assert.deepEqual(await waiting, []);
      assert.ok(performance.now() - start < 5_000, 'it ended at once');
      const aborted = { group, timeout: 60_000, signal: controller.signal };
      assert.deepEqual(await bus.receive(topic, aborted), []);
      assert.ok(performance.now() - start < 5_000, 'it did not wait');
      await bus.publish(topic, 1);
      const [message] = await bus.receive(topic, { group, timeout: 5_000 });
      assert.equal(message!.data, 1);
      assert.equal(message!.attempt, 1);
      await message!.ack();
    },
  },
  {
    id: 'batching/receive-after-close',
    name: 'a receive that waits when its bus closes ends, and what it held unsettled goes to others',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publish(topic, 1);
      const [held] = await bus.receive(topic, { group, timeout: 5_000 });
      assert.equal(held!.data, 1);
      const waiting = bus.receive(topic, { group, timeout: 60_000 });
      const ended = waiting.then(
        (messages) => messages.length === 0,
        (error: unknown) => ClosedError.is(error),
      );
      await bus.close({ timeout: 50 });
      assert.equal(await ended, true);
      const got = t.collector();
      await other.subscribe(topic, got.handle, { group });
      await t.until('it came again', () => got.data.length === 1);
    },
  },
  {
    id: 'batching/stream-closed-while-opening',
    name: 'a stream whose bus closes, or whose signal fires, while it is being opened ends',
    async run(t) {
      const closing = await t.bus();
      const first = closing.stream(t.topic()).next();
      await closing.close();
      assert.equal(await first.then(({ done }) => done, ClosedError.is), true);

      const bus = await t.bus();
      await bus.connect();
      const controller = new AbortController();
      const second = bus.stream(t.topic(), { signal: controller.signal }).next();
      await Promise.resolve();
      controller.abort();
      assert.equal(await second.then(({ done }) => done, AbortError.is), true);
    },
  },
  {
    id: 'batching/pull-after-the-group-was-deleted',
    name: 'a group that is deleted under a stream ends it with an error, and receive makes it anew',
    needs: ['admin'],
    async run(t) {
      const bus = await t.bus();
      const [topic, group] = [t.topic(), t.name()];
      const stream = bus.stream(topic, { group });
      const next = stream.next().then(
        () => undefined,
        (error: unknown) => error,
      );
      await t.until('the group is there', () => groupInfo(bus, topic, group));
      await t.until('the stream is a member', () => bus.stats().subscriptions === 1);
      await bus.admin.deleteGroup(topic, group);
      assert.ok(BusError.is(await next));

      const options = { group: t.name('pull'), timeout: 50 };
      await bus.receive(topic, options);
      await bus.admin.deleteGroup(topic, options.group);
      await t.until('its end was noticed', () => bus.stats().subscriptions === 0);
      await bus.receive(topic, options);
      await bus.publish(topic, 'later');
      const [message] = await bus.receive(topic, { ...options, timeout: 10_000 });
      assert.equal(message?.data, 'later');
      await message?.ack();
    },
  },
]);
