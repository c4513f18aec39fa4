import assert from 'node:assert/strict';
import { type RetryOptions, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { failing, gaps } from '../helpers/failing.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

/** Milliseconds by which clocks and timers round. */
const ROUNDING = 2;

const ALWAYS = (): Error => new Error('always');

/** Lets one message fail until it is a dead letter, and holds that it was tried with these delays between. */
async function delaysAre(t: CaseContext, retry: RetryOptions, expected: readonly number[]): Promise<void> {
  const bus = await t.bus({ deadLetter: { topic: t.topic('dead') } });
  const letters = await collectDeadLetters(t, bus, t.topic('dead'));
  const { runs, delays } = await failing(t, bus, t.topic(), ALWAYS, retry);
  await bus.publish(t.topic(), 1);
  await t.until('it is a dead letter', () => letters.messages.length > 0);
  assert.deepEqual(
    runs.map(({ attempt }) => attempt),
    numbers(expected.length + 1).map((n) => n + 1),
  );
  assert.deepEqual(delays, expected);
  for (const [index, gap] of gaps(runs).entries()) {
    assert.ok(gap >= expected[index]! - ROUNDING, `retry ${index + 1} came after ${gap} ms`);
  }
}

/** When and how often a failed message is tried again. */
export const retries: readonly Case[] = chapter('retries', [
  {
    id: 'retries/exponential',
    name: 'by default each delay is the last times the factor',
    run: (t) => delaysAre(t, { maxRetries: 4, initialDelay: 20, jitter: 0 }, [20, 40, 80, 160]),
  },
  {
    id: 'retries/factor',
    name: 'the factor is what it is set to',
    run: (t) => delaysAre(t, { maxRetries: 3, initialDelay: 10, factor: 3, jitter: 0 }, [10, 30, 90]),
  },
  {
    id: 'retries/linear',
    name: 'linear delays are each the initial delay longer',
    run: (t) => delaysAre(t, { maxRetries: 3, initialDelay: 30, backoff: 'linear', jitter: 0 }, [30, 60, 90]),
  },
  {
    id: 'retries/max-delay',
    name: 'no delay is longer than maxDelay',
    run: (t) =>
      delaysAre(
        t,
        { maxRetries: 4, initialDelay: 20, factor: 10, maxDelay: 50, jitter: 0 },
        [20, 50, 50, 50],
      ),
  },
  {
    id: 'retries/fixed-list',
    name: 'a list of delays is taken as it is, with as many retries as it has',
    run: (t) => delaysAre(t, { delays: [50, 10, 120] }, [50, 10, 120]),
  },
  {
    id: 'retries/fixed-list-repeats',
    name: 'the last delay of a list repeats where more retries are asked for, and maxDelay does not cut it',
    run: (t) => delaysAre(t, { delays: [10, 60], maxRetries: 4, maxDelay: 20 }, [10, 60, 60, 60]),
  },
  {
    id: 'retries/none',
    name: 'with maxRetries 0, or retry false, a failed message is a dead letter at once',
    async run(t) {
      for (const [name, retry] of [
        ['zero', { maxRetries: 0 }],
        ['false', false],
      ] as const) {
        const dead = t.topic(`dead-${name}`);
        const bus = await t.bus({ deadLetter: { topic: dead } });
        const letters = await collectDeadLetters(t, bus, dead);
        const { runs, delays } = await failing(t, bus, t.topic(name), ALWAYS, retry);
        await bus.publish(t.topic(name), 1);
        await t.until('it is a dead letter', () => letters.messages.length > 0);
        assert.equal(runs.length, 1);
        assert.deepEqual(delays, []);
        assert.equal(letters.messages[0]!.failure!.attempts, 1);
      }
    },
  },
  {
    id: 'retries/jitter',
    name: 'jitter makes delays shorter and longer, within its share, and never longer than maxDelay',
    async run(t) {
      const bus = await t.bus();
      const retry = { initialDelay: 40, jitter: 0.5, maxDelay: 55, maxRetries: 1 };
      const first = ({ attempt }: { attempt: number }): unknown => (attempt === 1 ? ALWAYS() : undefined);
      const { runs, delays } = await failing(t, bus, t.topic(), first, retry, { concurrency: 50 });
      await Promise.all(numbers(60).map((n) => bus.publish(t.topic(), n)));
      await t.until('all were tried twice', () => runs.length >= 120);
      for (const delay of delays) assert.ok(delay >= 20 && delay <= 55, `a delay of ${delay} ms`);
      assert.ok(new Set(delays).size > 5, 'they are not all the same');
      assert.ok(Math.min(...delays) < 40 && Math.max(...delays) > 40, 'on both sides');
    },
  },
  {
    id: 'retries/default',
    name: 'with nothing configured a failed message is retried after one second, plus or minus a tenth',
    async run(t) {
      const bus = await t.bus();
      const first = ({ attempt }: { attempt: number }): unknown => (attempt === 1 ? ALWAYS() : undefined);
      const { runs, delays } = await failing(t, bus, t.topic(), first);
      await bus.publish(t.topic(), 1);
      await t.until('it came again', () => runs.length >= 2);
      assert.equal(delays.length, 1);
      assert.ok(delays[0]! >= 900 && delays[0]! <= 1_100, `a delay of ${delays[0]} ms`);
      const [gap] = gaps(runs);
      assert.ok(gap! >= delays[0]! - ROUNDING && gap! <= 9_000, `it came after ${gap} ms`);
    },
  },
  {
    id: 'retries/default-count',
    name: 'with nothing but a delay configured there are three retries',
    run: (t) => delaysAre(t, { initialDelay: 10, factor: 1, jitter: 0 }, [10, 10, 10]),
  },
  {
    id: 'retries/nack-backs-off',
    name: 'a plain nack backs off like a failure, until the retries are used up',
    async run(t) {
      const dead = t.topic('dead');
      const retry = { maxRetries: 2, initialDelay: 60, jitter: 0 };
      const bus = await t.bus({ deadLetter: { topic: dead }, retry });
      const letters = await collectDeadLetters(t, bus, dead);
      const runs: { data: unknown; attempt: number; at: number }[] = [];
      await bus.subscribe(
        t.topic(),
        async (message) => {
          runs.push({ data: message.data, attempt: message.attempt, at: Date.now() });
          await message.nack({ error: new Error('of my own') });
        },
        { group: t.name(), ack: 'manual' },
      );
      await bus.publish(t.topic(), 1);
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      const [first, second] = gaps(runs);
      assert.ok(first! >= 60 - ROUNDING && second! >= 120 - ROUNDING, `it came after ${first}, ${second} ms`);
      assert.equal(runs.length, 3);
      assert.equal(letters.messages[0]!.failure!.error!.message, 'of my own');
    },
  },
  {
    id: 'retries/nack-delay',
    name: 'a nack may name its delay, and a requeue asks for none, whatever the policy says',
    async run(t) {
      const bus = await t.bus({ retry: { initialDelay: 3_600_000, maxDelay: 3_600_000 } });
      const delays: number[] = [];
      bus.on('message.retried', ({ delay }) => delays.push(delay));
      const seen: { attempt: number; at: number }[] = [];
      await bus.subscribe(
        t.topic(),
        async (message) => {
          seen.push({ attempt: message.attempt, at: Date.now() });
          if (message.attempt === 1) await message.requeue();
          if (message.attempt === 2) await message.nack({ delay: 100 });
          if (message.attempt === 3) await message.reject({ requeue: true, delay: 0 });
        },
        { group: t.name() },
      );
      await bus.publish(t.topic(), 1);
      await t.until('it came four times', () => seen.length >= 4);
      assert.deepEqual(delays, [0, 100, 0]);
      assert.ok(seen[2]!.at - seen[1]!.at >= 100 - ROUNDING, 'not before its delay');
      assert.deepEqual(
        seen.map(({ attempt }) => attempt),
        [1, 2, 3, 4],
      );
    },
  },
  {
    id: 'retries/requeue-counts',
    name: 'requeues count: they end in the dead letters like other retries',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: { maxRetries: 3 } });
      const letters = await collectDeadLetters(t, bus, dead);
      let runs = 0;
      await bus.subscribe(
        t.topic(),
        (message) => {
          runs++;
          return message.requeue();
        },
        { group: t.name() },
      );
      await bus.publish(t.topic(), 1);
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      assert.equal(runs, 4);
      assert.equal(letters.messages[0]!.failure!.reason, 'retries-exhausted');
    },
  },
  {
    id: 'retries/others-pass',
    name: 'messages that wait for their retry take no place: more of them than the prefetch do not hold up the others',
    needs: ['retryDelay'],
    async run(t) {
      const bus = await t.bus();
      const fails = ({ data }: { data: unknown }): unknown => ((data as number) < 5 ? ALWAYS() : undefined);
      const { runs } = await failing(t, bus, t.topic(), fails, { initialDelay: 60_000 }, { prefetch: 2 });
      for (const n of numbers(20)) await bus.publish(t.topic(), n);
      await t.until('all came', () => runs.length >= 20);
      assert.deepEqual(
        runs.map(({ data }) => data as number).toSorted((a, b) => a - b),
        numbers(20),
      );
      assert.equal(bus.stats().handled, 15);
    },
  },
  {
    id: 'retries/only-the-group',
    name: 'a retry comes to the group that failed, and to no other',
    async run(t) {
      const bus = await t.bus();
      const other = await listen(t, bus, t.topic(), { group: t.name('other') });
      const live = await listen(t, bus, t.topic(), { group: undefined });
      const fails = ({ attempt }: { attempt: number }): unknown => (attempt < 3 ? ALWAYS() : undefined);
      const { runs } = await failing(t, bus, t.topic(), fails, { initialDelay: 10 });
      await bus.publish(t.topic(), 1);
      await t.until('it was handled', () => runs.length >= 3);
      await bus.publish(t.topic(), 2);
      await t.until('the next came to all', () => other.data.includes(2) && live.data.includes(2));
      assert.deepEqual(
        [other.data, live.data],
        [
          [1, 2],
          [1, 2],
        ],
      );
      for (const { attempt } of other.messages) assert.equal(attempt, 1);
    },
  },
  {
    id: 'retries/another-member',
    name: 'a retry may come to another member of the group, with its attempt',
    async run(t) {
      const topic = t.topic();
      const [one, other] = [await t.bus(), await t.bus()];
      const subscription = t.collector();
      const failingOne = await one.subscribe(
        topic,
        (message) => {
          subscription.handle(message);
          throw ALWAYS();
        },
        { group: t.name(), retry: { initialDelay: 200 } },
      );
      await one.publish(topic, 1);
      await t.until('it failed', () => one.stats().retried === 1);
      await failingOne.unsubscribe();
      const got = await listen(t, other, topic);
      await t.until('the other has it', () => got.messages.length > 0);
      assert.deepEqual([got.messages[0]!.attempt, subscription.messages.length], [2, 1]);
    },
  },
  {
    id: 'retries/bad-policy',
    name: 'a policy that is not allowed is refused by name wherever it can be given',
    async run(t) {
      const bus = await t.bus();
      const bad: readonly (readonly [RetryOptions, string])[] = [
        [{ maxRetries: -1 }, 'maxRetries'],
        [{ maxRetries: 1.5 }, 'maxRetries'],
        [{ initialDelay: -5 }, 'initialDelay'],
        [{ jitter: 2 }, 'jitter'],
        [{ factor: 0 }, 'factor'],
        [{ delays: [10, -1] }, 'delays'],
        [{ backoff: 'random' as never }, 'backoff'],
        [{ retryOn: [''] }, 'retryOn'],
        [{ retries: 3 } as never, 'retries'],
      ];
      for (const [retry, part] of bad) {
        await rejection(ValidationError, () => bus.publish(t.topic(), 1, { retry }), '"retry"', part);
        const subscribe = (): Promise<unknown> => bus.subscribe(t.topic(), () => {}, { retry });
        await rejection(ValidationError, subscribe, '"retry"', part);
      }
    },
  },
]);
