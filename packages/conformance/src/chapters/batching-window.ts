import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Messages in memory on the way in. */
export const batchingWindow: readonly Case[] = chapter('batching', [
  {
    id: 'batching/prefetch',
    name: 'never more than prefetch messages are unsettled, and a full window goes on as its messages are acked',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const open: Message[] = [];
      let most = 0;
      await bus.subscribe(
        topic,
        (message) => {
          open.push(message);
          most = Math.max(most, open.length);
        },
        { group: t.name(), prefetch: 5, concurrency: 50, ack: 'manual' },
      );
      await bus.publishMany(numbers(50).map((data) => ({ topic, data })));
      await t.until('the window is full', () => open.length === 5);
      await t.quiet('no more come', () => open.length === 5, 60);
      const seen: number[] = [];
      for (let left = 50; left > 0; left--) {
        await t.until('the window fills up again', () => open.length === Math.min(5, left));
        // The latest first: each ack makes room for itself, not for those before it.
        const message = open.pop()!;
        seen.push(message.data);
        await message.ack();
      }
      assert.equal(most, 5);
      assert.deepEqual(distinct(seen), numbers(50));
    },
  },
  {
    id: 'batching/prefetch-by-member',
    name: 'a member takes no more than its prefetch from the others of its group',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const publisher = await t.bus();
      await standingGroup(publisher, topic, group);
      await publisher.publishMany(numbers(40).map((data) => ({ topic, data })));
      const stuck = await t.bus();
      const held: Message[] = [];
      await stuck.subscribe(topic, (message) => held.push(message), { group, prefetch: 3, ack: 'manual' });
      await t.until('it holds its window', () => held.length === 3);
      const other = await t.bus();
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group });
      await t.until('the other has the rest', () => got.data.length === 37);
      assert.equal(held.length, 3);
      await Promise.all(held.map((message) => message.ack()));
      const all = [...got.data, ...held.map(({ data }) => data as number)];
      assert.deepEqual(distinct(all), numbers(40));
    },
  },
  {
    id: 'batching/fast-publisher',
    name: 'a publisher ten times faster than its consumer fills neither memory: both stay within their limits',
    timeout: 60_000,
    async run(t) {
      const publisher = await t.bus({ maxPending: 500 });
      const consumer = await t.bus();
      const topic = t.topic();
      let handled = 0;
      const count = 5_000;
      await consumer.subscribe(
        topic,
        () =>
          new Promise<void>((resolve) => {
            setTimeout(() => {
              handled++;
              resolve();
            }, 1);
          }),
        { group: t.name(), concurrency: 10, prefetch: 20 },
      );
      let [published, unconfirmed, held] = [0, 0, 0];
      const publishing = Promise.all(
        numbers(count).map((n) =>
          bus().then(() => {
            published++;
            return n;
          }),
        ),
      );
      function bus(): Promise<unknown> {
        return publisher.publish(topic, 'x'.repeat(100));
      }
      await t.until(
        'all were handled',
        () => {
          const { running, waiting } = consumer.stats();
          held = Math.max(held, running + waiting);
          unconfirmed = Math.max(unconfirmed, publisher.stats().unconfirmed);
          return handled >= count;
        },
        50_000,
      );
      await publishing;
      assert.equal(published, count);
      assert.ok(held <= 20, `the consumer held ${held} messages`);
      assert.ok(unconfirmed <= 500, `the publisher held ${unconfirmed} messages`);
    },
  },
  {
    id: 'batching/flat-memory',
    name: 'the memory of a consumer does not grow with what it has handled',
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const alive: WeakRef<Message>[] = [];
      let handled = 0;
      await bus.subscribe(
        topic,
        (message) => {
          handled++;
          if (handled % 100 === 0) alive.push(new WeakRef(message));
        },
        { group: t.name(), prefetch: 100 },
      );
      const collect = (globalThis as { gc?: () => void }).gc;
      for (let round = 0; round < 10; round++) {
        await bus.publishMany(numbers(500).map((data) => ({ topic, data })));
        await t.until('the round was handled', () => handled >= 500 * (round + 1));
        const { running, waiting, unconfirmed } = bus.stats();
        assert.ok(running + waiting <= 100 && unconfirmed === 0, 'something was left over');
      }
      if (collect === undefined) return;
      await t.until('handled messages are forgotten', () => {
        collect();
        return alive.filter((one) => one.deref() !== undefined).length <= 2;
      });
    },
  },
]);
