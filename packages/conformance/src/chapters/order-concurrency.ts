import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** How many handlers run. */
export const orderConcurrency: readonly Case[] = chapter('order', [
  {
    id: 'order/concurrency',
    name: 'as many handlers run at a time as asked for, and never more',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      let running = 0;
      let most = 0;
      let handled = 0;
      const full = Promise.withResolvers<void>();
      const subscription = await bus.subscribe(
        topic,
        async () => {
          most = Math.max(most, ++running);
          if (running === 7) full.resolve();
          // The first seven wait for each other: fewer at a time would stand still.
          await full.promise;
          await new Promise((resolve) => setImmediate(resolve));
          running--;
          handled++;
        },
        { group: t.name(), concurrency: 7 },
      );
      await Promise.all(numbers(100).map((n) => bus.publish(topic, n)));
      await t.until('all were handled', () => handled >= 100);
      assert.equal(most, 7);
      await t.until('none runs any more', () => subscription.running === 0);
    },
  },
  {
    id: 'order/concurrency-of-failures',
    name: 'failing and retried messages do not run beyond the concurrency either',
    async run(t) {
      const bus = await t.bus({ retry: { initialDelay: 10, jitter: 0, maxRetries: 2 } });
      const topic = t.topic();
      let running = 0;
      let most = 0;
      let done = 0;
      await bus.subscribe<number>(
        topic,
        async ({ attempt }) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 1));
          running--;
          if (attempt < 3) throw new Error('not yet');
          done++;
        },
        { group: t.name(), concurrency: 4 },
      );
      await Promise.all(numbers(30).map((n) => bus.publish(topic, n)));
      await t.until('all were handled', () => done >= 30);
      assert.equal(most, 4);
    },
  },
  {
    id: 'order/serial',
    name: 'without more asked for, one handler runs at a time, sync or async',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      let running = 0;
      let most = 0;
      const seen: number[] = [];
      await bus.subscribe<number>(
        topic,
        async ({ data }) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          running--;
          seen.push(data);
        },
        { group: t.name() },
      );
      await Promise.all(numbers(50).map((n) => bus.publish(topic, n, { key: 'k' })));
      await t.until('all were handled', () => seen.length >= 50);
      assert.equal(most, 1);
      if (t.capabilities.keyOrder !== 'none') assert.deepEqual(seen, numbers(50));
      else assert.deepEqual(distinct(seen), numbers(50));
    },
  },
  {
    id: 'order/concurrency-of-batches',
    name: 'as many batches run at a time as asked for, and never more',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(60).map((n) => bus.publish(topic, n)));
      let running = 0;
      let most = 0;
      let handled = 0;
      const full = Promise.withResolvers<void>();
      await bus.subscribe(
        topic,
        async (messages: readonly Message[]) => {
          most = Math.max(most, ++running);
          if (running === 3) full.resolve();
          await full.promise;
          await new Promise((resolve) => setImmediate(resolve));
          running--;
          handled += messages.length;
        },
        { group: t.name(), ack: { batch: 5, maxWait: 20 }, concurrency: 3 },
      );
      await t.until('all were handled', () => handled >= 60);
      assert.equal(most, 3);
    },
  },
  {
    id: 'order/slow-subscriber',
    name: 'a slow subscriber holds up no other, in a group or live, on the same topic or another',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const gate = Promise.withResolvers<void>();
      t.cleanup(() => gate.resolve());
      let stuck = 0;
      const slow = (): Promise<void> => {
        stuck++;
        return gate.promise;
      };
      await bus.subscribe(topic, slow, { group: t.name('slow'), prefetch: 1 });
      await bus.subscribe(topic, slow, { prefetch: 1 });
      const group = await listen<number>(t, bus, topic, { group: t.name('fast') });
      const live = await listen<number>(t, bus, topic, { group: undefined });
      const elsewhere = await listen<number>(t, bus, t.topic('other'));
      await Promise.all(numbers(40).map((n) => bus.publish(topic, n)));
      await Promise.all(numbers(50).map((n) => bus.publish(t.topic('other'), n)));
      await t.until(
        'the others have all',
        () => [group, live].every(({ data }) => data.length >= 40) && elsewhere.data.length >= 50,
      );
      assert.deepEqual(distinct(group.data), numbers(40));
      assert.deepEqual(distinct(live.data), numbers(40));
      await t.until('the slow ones have one each', () => stuck === 2);
      gate.resolve();
      await t.until('the slow ones have all', () => stuck >= 80);
      assert.equal(stuck, 80);
    },
  },
  {
    id: 'order/live',
    name: 'a live subscription handles each key in order, one at a time, at any concurrency',
    needs: ['keyOrder'],
    async run(t) {
      const topic = t.topic();
      const [bus, publisher] = [await t.bus(), await t.bus()];
      const seen = new Map<string, number[]>();
      const busy = new Set<string>();
      let overlaps = 0;
      let count = 0;
      await bus.subscribe<number>(
        topic,
        async ({ key, data }) => {
          if (busy.has(key!)) overlaps++;
          busy.add(key!);
          seen.set(key!, [...(seen.get(key!) ?? []), data]);
          await new Promise((resolve) => setImmediate(resolve));
          busy.delete(key!);
          count++;
        },
        { concurrency: 16 },
      );
      const keys = ['a', 'b', 'c'];
      await Promise.all(numbers(50).flatMap((n) => keys.map((key) => publisher.publish(topic, n, { key }))));
      await t.until('all were handled', () => count >= 150);
      for (const key of keys) assert.deepEqual(seen.get(key), numbers(50), `key ${key}`);
      assert.equal(overlaps, 0);
    },
  },
  {
    id: 'order/slow-key-backlog',
    name: 'a slow key with more waiting than the window holds leaves room for the others',
    needs: ['durable', 'keyOrder'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const gate = Promise.withResolvers<void>();
      t.cleanup(() => gate.resolve());
      let [slow, fast] = [0, 0];
      await bus.subscribe(
        topic,
        async ({ key }) => {
          if (key !== 'slow') fast++;
          else if (slow++ === 0) await gate.promise;
        },
        { group: t.name(), concurrency: 2, prefetch: 16 },
      );
      await bus.publishMany(numbers(60).map((data) => ({ topic, data, key: 'slow' })));
      await t.until('the slow one is being handled', () => slow === 1);
      await bus.publishMany(numbers(40).map((data) => ({ topic, data, key: `fast-${data % 5}` })));
      await bus.publishMany(numbers(10).map((data) => ({ topic, data })));
      await t.until('all others were handled', () => fast === 50);
      assert.equal(slow, 1);
      gate.resolve();
      await t.until('then the slow ones', () => slow === 60);
    },
  },
]);
