import assert from 'node:assert/strict';
import {
  type Broker,
  MessageTooLargeError,
  type PublishEntry,
  PublishError,
  QueueFullError,
  SerializationError,
  TimeoutError,
  ValidationError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';
import { wrapBroker } from '../helpers/wrapped-broker.ts';

const MANY = 10_000;

/** A broker that counts what core asks of it. */
async function counted(t: CaseContext): Promise<{ broker: Broker; batches: number[] }> {
  const batches: number[] = [];
  const broker = wrapBroker(await t.create(), (own) => ({
    publish(records, deadline) {
      batches.push(records.length);
      return own.publish(records, deadline);
    },
  }));
  return { broker, batches };
}

const many: readonly Case[] = [
  {
    id: 'batching/publish-many',
    name: 'publishMany of 10,000 is accepted in few calls, each with its receipt in its place, and all arrive',
    timeout: 60_000,
    async run(t) {
      const { broker, batches } = await counted(t);
      const bus = await t.bus({ broker });
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name(), concurrency: 100, prefetch: 1_000 });
      const receipts = await bus.publishMany(
        numbers(MANY).map((data) => ({ topic, data, id: t.name(`m${data}`) })),
      );
      for (const [n, { id }] of receipts.entries()) assert.equal(id, t.name(`m${n}`));
      const fewest = Math.ceil(MANY / t.capabilities.limits.maxBatch);
      assert.ok(batches.length <= fewest + 5, `${batches.length} calls for ${MANY} messages`);
      t.note('calls', batches.length);
      await t.until('all came', () => got.data.length >= MANY, 50_000);
      assert.equal(distinct(got.data).length, MANY);
      assert.deepEqual(await bus.publishMany([]), []);
    },
  },
  {
    id: 'batching/publish-many-failures',
    name: 'publishMany names each that failed by its index, with its reason, and accepts all the others',
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name(), concurrency: 100, prefetch: 1_000 });
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      const { maxHeaderBytes } = t.capabilities.limits;
      const bad: Readonly<Record<number, Partial<PublishEntry>>> = {
        0: { data: circular },
        17: { topic: 'not a topic' },
        4999: { headers: { large: 'x'.repeat(maxHeaderBytes) } },
        5000: { ttl: -1 },
        9999: { data: () => {} },
      };
      const entries = numbers(MANY).map((data): PublishEntry => ({ topic, data, ...bad[data] }));
      const error = await rejection(PublishError, () => bus.publishMany(entries), `5 of ${MANY}`);
      assert.deepEqual(
        error.failures.map(({ index }) => index),
        Object.keys(bad).map(Number),
      );
      const [first, second, third, fourth, fifth] = error.failures.map((failure) => failure.error);
      assert.ok(SerializationError.is(first) && SerializationError.is(fifth));
      assert.ok(ValidationError.is(second) && ValidationError.is(fourth));
      assert.ok(MessageTooLargeError.is(third));
      assert.equal(error.retryable, false);
      await t.until('the others came', () => got.data.length >= MANY - 5, 50_000);
      assert.deepEqual(
        distinct(got.data),
        numbers(MANY).filter((n) => !(n in bad)),
      );
    },
  },
  {
    id: 'batching/one-that-the-broker-refuses',
    name: 'when the server refuses some of a batch, those alone fail, wherever they were published from',
    async run(t) {
      // Refused behind core's back, as a server does: what core checks itself would never get here.
      const broker = wrapBroker(await t.create(), (own) => ({
        async publish(records, deadline) {
          const refused = [...records.keys()].filter((n) => records[n]!.headers?.bad === 'yes');
          const kept = records.filter((_, n) => !refused.includes(n));
          if (kept.length > 0) await own.publish(kept, deadline);
          if (refused.length === 0) return;
          const error = new ValidationError('refused by the server');
          throw new PublishError(
            'some were refused',
            refused.map((index) => ({ index, error })),
          );
        },
      }));
      const bus = await t.bus({ broker });
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name() });
      const single = await Promise.allSettled(
        numbers(20).map((n) => bus.publish(topic, n, n % 7 === 3 ? { headers: { bad: 'yes' } } : {})),
      );
      assert.deepEqual(
        [...single.keys()].filter((n) => single[n]!.status === 'rejected'),
        [3, 10, 17],
      );
      await t.until('the others came', () => got.data.length >= 17);
      assert.deepEqual(
        distinct(got.data),
        numbers(20).filter((n) => n % 7 !== 3),
      );
    },
  },
  {
    id: 'batching/round-trips',
    name: 'Promise.all of 10,000 publishes costs a few round trips',
    timeout: 60_000,
    async run(t) {
      const { broker, batches } = await counted(t);
      const bus = await t.bus({ broker });
      const topics = numbers(4).map((n) => t.topic(`t${n}`));
      await Promise.all(topics.map((topic) => bus.publish(topic, 'first')));
      batches.length = 0;
      await Promise.all(numbers(MANY).map((n) => bus.publish(topics[n % 4]!, n)));
      assert.equal(
        batches.reduce((sum, size) => sum + size, 0),
        MANY,
      );
      const fewest = Math.ceil(MANY / t.capabilities.limits.maxBatch);
      assert.ok(batches.length <= fewest + 5, `${batches.length} calls for ${MANY} messages`);
      assert.ok(Math.max(...batches) <= t.capabilities.limits.maxBatch, 'a call had more than maxBatch');
      t.note('calls', batches.length);
    },
  },
  {
    id: 'batching/order-of-publishes',
    name: 'messages published in one tick keep their order within a key, over all batches',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name(), prefetch: 500 });
      await Promise.all(numbers(2_000).map((n) => bus.publish(topic, n, { key: 'one' })));
      await t.until('all came', () => got.data.length >= 2_000);
      assert.deepEqual(got.data, numbers(2_000));
    },
  },
];

const queue: readonly Case[] = [
  {
    id: 'batching/queue-limit-waits',
    name: 'a publish beyond the queue limit waits for room; all are accepted in the end',
    async run(t) {
      const bus = await t.bus({ maxPending: 10 });
      await bus.connect();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name() });
      const all = Promise.all(numbers(500).map((n) => bus.publish(topic, n)));
      let most = 0;
      let isDone = false;
      const done = all.then(() => {
        isDone = true;
      });
      await t.until('all were accepted', () => {
        most = Math.max(most, bus.stats().unconfirmed);
        return isDone;
      });
      await done;
      assert.ok(most <= 10, `${most} were unconfirmed`);
      await t.until('all came', () => got.data.length >= 500);
      assert.deepEqual(distinct(got.data), numbers(500));
    },
  },
  {
    id: 'batching/queue-limit-fails',
    name: 'a publish beyond the queue limit fails at once where that is asked for, and there is room again later',
    async run(t) {
      const bus = await t.bus({ maxPending: 10, whenFull: 'fail' });
      await bus.connect();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name() });
      const results = await Promise.allSettled(numbers(25).map((n) => bus.publish(topic, n)));
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      assert.equal(refused.length, 15);
      for (const error of refused) {
        assert.ok(QueueFullError.is(error));
        assert.equal(error.retryable, true);
        assert.equal(error.topic, topic);
      }
      await bus.publish(topic, -1);
      await t.until('the accepted ones came', () => got.data.length >= 11);
      assert.deepEqual(distinct(got.data), [-1, ...numbers(10)]);
    },
  },
  {
    id: 'batching/queue-limit-deadline',
    name: 'a publish that waits for room gives up at its deadline, and its message is not sent later',
    async run(t) {
      const release = Promise.withResolvers<void>();
      const broker = wrapBroker(await t.create(), (own) => ({
        async publish(records, deadline) {
          if (records.some(({ headers }) => headers?.slow === 'yes')) await release.promise;
          return own.publish(records, Math.max(deadline, Date.now() + 10_000));
        },
      }));
      t.cleanup(() => release.resolve());
      const bus = await t.bus({ broker, maxPending: 1, publishTimeout: 250 });
      const other = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await other.subscribe(topic, got.handle, { group: t.name() });
      const slow = rejection(TimeoutError, () => bus.publish(topic, 'slow', { headers: { slow: 'yes' } }));
      const start = Date.now();
      const waiting = rejection(TimeoutError, () => bus.publish(topic, 'waiting'), topic);
      await Promise.all([slow, waiting]);
      assert.ok(Date.now() - start >= 200, 'it waited');
      release.resolve();
      await t.after(
        () => bus.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      assert.ok(!got.data.includes('waiting'));
    },
  },
];

/** Calls and queues on the way out. */
export const batching: readonly Case[] = chapter('batching', [...many, ...queue]);
