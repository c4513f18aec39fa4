import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const RETRY = { initialDelay: 10, maxRetries: 5 };

/** Handlers that take several messages at once. */
export const settlementBatch: readonly Case[] = chapter('settlement', [
  {
    id: 'settlement/batch',
    name: 'a batch handler gets up to its batch at once, and all are acked when it resolves',
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(50).map((n) => bus.publish(topic, n)));
      const batches: number[][] = [];
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          batches.push(messages.map(({ data }) => data));
        },
        { group: t.name(), ack: { batch: 20, maxWait: 100 } },
      );
      await t.until('all came', () => batches.flat().length >= 50);
      assert.deepEqual(distinct(batches.flat()), numbers(50));
      assert.equal(batches.flat().length, 50);
      for (const batch of batches) assert.ok(batch.length <= 20, `a batch of ${batch.length}`);
      assert.ok(batches.length < 50, 'more than one at a time');
      await t.until('all are acked', () => bus.stats().acked === 50);
      await bus.close();
      const later = await t.bus();
      const got = await listen(t, later, topic);
      await t.after(
        () => later.publish(topic, 'end'),
        () => got.data.includes('end'),
      );
      assert.deepEqual(got.data, ['end']);
    },
  },
  {
    id: 'settlement/batch-waits',
    name: 'a batch that does not fill is handled when its first message has waited maxWait, also under a trickle',
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const batches: { readonly data: number[]; readonly at: number }[] = [];
      await bus.subscribe(
        topic,
        (messages: readonly Message<number>[]) =>
          void batches.push({ data: messages.map(({ data }) => data), at: performance.now() }),
        { group: t.name(), ack: { batch: 1_000, maxWait: 100 } },
      );
      // More often than `maxWait`: a wait that began anew with each message would never end.
      let sent = 0;
      await t.until('a batch came', async () => {
        await bus.publish(topic, sent++);
        return batches.length > 0;
      });
      await t.until('all came', () => batches.flatMap(({ data }) => data).length >= sent);
      assert.deepEqual(distinct(batches.flatMap(({ data }) => data)), numbers(sent));
      const start = performance.now();
      await bus.publish(topic, sent);
      await t.until('the last came', () => batches.some(({ data }) => data.includes(sent)));
      const { at } = batches.find(({ data }) => data.includes(sent))!;
      assert.ok(at - start >= 95, `it waited for more, ${at - start} ms`);
    },
  },
  {
    id: 'settlement/batch-partly-failed',
    name: 'in a batch that fails, what was acked before stays acked, and the rest comes again',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(10).map((n) => bus.publish(topic, n)));
      const seen: Message<number>[] = [];
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          seen.push(...messages);
          const first = messages.filter(({ attempt }) => attempt === 1);
          for (const message of first) if (message.data % 2 === 0) await message.ack();
          if (first.length > 0) throw new Error('the batch failed');
        },
        { group: t.name(), ack: { batch: 10, maxWait: 200 } },
      );
      await t.until('the odd ones came again', () => seen.length >= 15);
      await settled(t, bus, topic, t.name());
      const again = seen.filter(({ attempt }) => attempt > 1);
      assert.deepEqual(distinct(again.map(({ data }) => data)), [1, 3, 5, 7, 9]);
      for (const { attempt } of again) assert.equal(attempt, 2);
      assert.equal(seen.length, 15);
    },
  },
  {
    id: 'settlement/batch-one-by-one',
    name: 'in a batch that succeeds, what was nacked or dead-lettered by hand is, and the rest is acked',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ retry: RETRY, deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(6).map((n) => bus.publish(topic, n)));
      const seen: string[] = [];
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          for (const message of messages) {
            seen.push(`${message.data} ${message.attempt}`);
            if (message.attempt > 1) continue;
            if (message.data === 1) await message.nack({ delay: 10 });
            if (message.data === 2) await message.deadLetter('this one');
          }
        },
        { group: t.name(), ack: { batch: 6, maxWait: 100 } },
      );
      await t.until('all are done', () => seen.length >= 7 && letters.data.length >= 1);
      await settled(t, bus, topic, t.name());
      assert.deepEqual(seen.toSorted(), ['0 1', '1 1', '1 2', '2 1', '3 1', '4 1', '5 1']);
      assert.deepEqual(letters.data, [2]);
      await t.until('the others are acked', () => bus.stats().acked >= 5);
    },
  },
  {
    id: 'settlement/batch-undecodable',
    name: 'a message in a batch that cannot be decoded is a dead letter, and the others are handled',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      const bad = await t.bus({
        serializer: {
          contentType: 'application/json',
          serialize: () => Buffer.from('not json'),
          deserialize: () => undefined,
        },
      });
      await standingGroup(bus, topic, t.name());
      for (const n of numbers(6)) await (n === 3 ? bad : bus).publish(topic, n);
      const seen: number[] = [];
      await bus.subscribe(
        topic,
        (messages: readonly Message<number>[]) => void seen.push(...messages.map(({ data }) => data)),
        {
          group: t.name(),
          ack: { batch: 6, maxWait: 100 },
        },
      );
      await t.until('all are done', () => seen.length >= 5 && letters.messages.length >= 1);
      assert.deepEqual(distinct(seen), [0, 1, 2, 4, 5]);
      assert.equal(letters.messages[0]!.failure!.reason, 'undecodable');
      assert.equal(Buffer.from(letters.messages[0]!.body).toString(), 'not json');
    },
  },
  {
    id: 'settlement/batch-timeout',
    name: 'a batch handler that takes too long fails its messages, and they come again',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(4).map((n) => bus.publish(topic, n)));
      const seen: string[] = [];
      const release = Promise.withResolvers<void>();
      t.cleanup(() => release.resolve());
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          for (const { data, attempt } of messages) seen.push(`${data} ${attempt}`);
          if (messages.some(({ attempt }) => attempt === 1)) await release.promise;
        },
        { group: t.name(), ack: { batch: 4, maxWait: 50 }, handlerTimeout: 100, concurrency: 4 },
      );
      await t.until('all came again', () => seen.filter((one) => one.endsWith(' 2')).length >= 4);
      const again = seen.filter((one) => one.endsWith(' 2')).toSorted();
      assert.deepEqual(again, ['0 2', '1 2', '2 2', '3 2']);
    },
  },
]);
