import assert from 'node:assert/strict';
import { LeaseLostError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const RETRY = { initialDelay: 10, maxRetries: 3 };

/** Settlement without a group: nothing of it is on the server, and a handler must not notice. */
export const settlementLive: readonly Case[] = chapter('settlement', [
  {
    id: 'settlement/live-retry',
    name: 'a message that fails in a live subscription comes again to it, and to no other',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: Message<number>[] = [];
      const attempts: string[] = [];
      await bus.subscribe<number>(topic, (message) => {
        seen.push(message);
        attempts.push(`${message.data} ${message.attempt}`);
        if (message.attempt < 3) throw new Error('not yet');
      });
      const other = await listen<number>(t, bus, topic, { group: undefined });
      for (const n of numbers(3)) await bus.publish(topic, n);
      await t.until('each was handled', () => bus.stats().handled >= 6);
      const expected = numbers(3).flatMap((n) => [1, 2, 3].map((attempt) => `${n} ${attempt}`));
      assert.deepEqual(attempts.toSorted(), expected);
      assert.deepEqual(distinct(other.data), numbers(3));
      assert.equal(other.data.length, 3);
      assert.deepEqual(
        seen.map(({ data, attempt }) => `${data} ${attempt}`),
        attempts,
        'a message that a handler kept does not change',
      );
    },
  },
  {
    id: 'settlement/live-dead-letter',
    name: 'a message that fails for good in a live subscription is a dead letter without a group',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ retry: { initialDelay: 10, maxRetries: 1 }, deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      await bus.subscribe(topic, () => {
        throw new Error('never');
      });
      await bus.publish(topic, 'x');
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      const { failure, data } = letters.messages[0]!;
      assert.equal(data, 'x');
      assert.deepEqual([failure!.group, failure!.topic, failure!.pattern], [undefined, topic, topic]);
      assert.deepEqual([failure!.attempts, failure!.reason], [2, 'retries-exhausted']);
    },
  },
  {
    id: 'settlement/live-timeout',
    name: 'a live handler that takes too long is aborted; the message comes again and can be settled',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: Message<number>[] = [];
      const release = Promise.withResolvers<void>();
      await bus.subscribe<number>(
        topic,
        async (message) => {
          seen.push(message);
          const { signal } = message;
          if (message.attempt > 1) return message.ack();
          await release.promise;
          assert.ok(signal.aborted);
        },
        { handlerTimeout: 100, prefetch: 2, concurrency: 2 },
      );
      // More than the prefetch: a message that were never settled would keep its place.
      for (const n of numbers(6)) await bus.publish(topic, n);
      await t.until('each was handled', () => bus.stats().handled >= 6);
      const first = seen.find(({ attempt }) => attempt === 1);
      assert.ok(first, 'a message that a handler kept does not change');
      await rejection(LeaseLostError, () => first.ack());
      release.resolve();
      await t.until('all are acked', () => bus.stats().acked === 6);
      assert.equal(seen.length, 12);
    },
  },
  {
    id: 'settlement/live-block',
    name: 'a message that fails in a live subscription holds back its key where the order is to block',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        ({ data, attempt }) => {
          seen.push(`${data} ${attempt}`);
          if (data === 'a0' && attempt < 3) throw new Error('not yet');
        },
        { order: 'block', concurrency: 4 },
      );
      for (const n of numbers(4)) {
        await bus.publish(topic, `a${n}`, { key: 'a' });
        await bus.publish(topic, `b${n}`, { key: 'b' });
      }
      await t.until('all were handled', () => bus.stats().handled >= 8);
      const of = (key: string): string[] => seen.filter((one) => one.startsWith(key));
      assert.deepEqual(of('a'), ['a0 1', 'a0 2', 'a0 3', 'a1 1', 'a2 1', 'a3 1']);
      assert.deepEqual(of('b'), ['b0 1', 'b1 1', 'b2 1', 'b3 1']);
      await t.until('all are acked', () => bus.stats().acked === 8);
    },
  },
  {
    id: 'settlement/live-at-the-end',
    name: "a live subscription that is closed while a retry waits ends at once, and its message is nobody else's",
    async run(t) {
      const bus = await t.bus({ retry: { initialDelay: 60_000 } });
      const topic = t.topic();
      await bus.subscribe(topic, () => {
        throw new Error('later');
      });
      await bus.publish(topic, 1);
      await t.until('it failed', () => bus.stats().retried === 1);
      const start = performance.now();
      await bus.close();
      assert.ok(performance.now() - start < 5_000, 'it did not wait for the retry');
    },
  },
]);
