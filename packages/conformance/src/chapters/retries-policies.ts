import assert from 'node:assert/strict';
import { ConnectionError, type RetryOptions, TimeoutError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { errorNamed, failing } from '../helpers/failing.ts';
import { numbers } from '../helpers/sequence.ts';

class OwnError extends Error {}

class OwnChild extends OwnError {}

/** Soon, where the delay itself does not matter. */
const SOON = { initialDelay: 10, maxRetries: 2 };

/**
 * Fails one message with each error, and holds how often each was tried and why it is a dead letter.
 *
 * @param retried - those that another try may help
 * @param hopeless - the others
 */
async function decides(
  t: CaseContext,
  retry: RetryOptions,
  retried: readonly unknown[],
  hopeless: readonly unknown[],
): Promise<void> {
  const errors = [...retried, ...hopeless];
  const dead = t.topic('dead');
  const bus = await t.bus({ deadLetter: { topic: dead } });
  const letters = await collectDeadLetters(t, bus, dead);
  const fail = ({ data }: { data: unknown }): unknown => errors[data as number];
  const { runs } = await failing(t, bus, t.topic(), fail, retry, { concurrency: 10 });
  await Promise.all(errors.map((_, n) => bus.publish(t.topic(), n)));
  await t.until('all are dead letters', () => letters.messages.length >= errors.length);
  for (const { data, failure } of letters.messages) {
    const n = data as number;
    const isHopeless = n >= retried.length;
    const told = `${String(errors[n])} (${failure!.reason})`;
    assert.equal(failure!.reason, isHopeless ? 'not-retryable' : 'retries-exhausted', told);
    assert.equal(failure!.attempts, isHopeless ? 1 : 3, told);
    assert.equal(runs.filter((run) => run.data === n).length, failure!.attempts, told);
  }
}

/** Fails messages for ever and returns with how many attempts each became a dead letter. */
async function attemptsOf(
  t: CaseContext,
  busRetry: RetryOptions | false,
  subscriptionRetry: RetryOptions | false | undefined,
  publishRetries: readonly (RetryOptions | false | undefined)[],
  topic: string = t.topic(),
): Promise<number[]> {
  const dead = `${topic}-dead`;
  const bus = await t.bus({ deadLetter: { topic: dead }, retry: busRetry });
  const letters = await collectDeadLetters(t, bus, dead);
  await failing(t, bus, topic, () => errorNamed('Always'), subscriptionRetry, { concurrency: 5 });
  const publisher = await t.bus();
  await Promise.all(publishRetries.map((retry, n) => publisher.publish(topic, n, { retry })));
  await t.until('all are dead letters', () => letters.messages.length >= publishRetries.length);
  const byData = letters.messages.toSorted((a, b) => Number(a.data) - Number(b.data));
  return byData.map(({ failure }) => failure!.attempts);
}

/** Whose policy counts, and which errors are worth another try. */
export const retriesPolicies: readonly Case[] = chapter('retries', [
  {
    id: 'retries/not-retryable',
    name: 'an error that another try cannot help sends its message to the dead letters at once',
    run: (t) =>
      decides(
        t,
        SOON,
        [
          new Error('any'),
          new TimeoutError('late'),
          new ConnectionError('away'),
          errorNamed('ValidationError', { retryable: true }),
          'a text',
        ],
        [
          new ValidationError('bad'),
          errorNamed('ValidationError'),
          errorNamed('AuthenticationError'),
          errorNamed('AuthorizationError'),
          errorNamed('PermissionDenied'),
          errorNamed('Error', { code: 'EACCES' }),
          errorNamed('ZodError'),
          errorNamed('Error', { retryable: false }),
          new ConnectionError('wrong password', { retryable: false }),
        ],
      ),
  },
  {
    id: 'retries/retry-on',
    name: 'with retryOn only those errors are retried: by class, name, code, or a function',
    run: (t) =>
      decides(
        t,
        {
          ...SOON,
          retryOn: [
            OwnError,
            'NamedError',
            'E_CODE',
            (error) => (error as { again?: boolean }).again === true,
          ],
        },
        [
          new OwnError('mine'),
          new OwnChild('of mine'),
          errorNamed('NamedError'),
          errorNamed('Error', { code: 'E_CODE' }),
          errorNamed('Error', { again: true }),
          errorNamed('NamedError', { retryable: false }),
        ],
        [new Error('any'), errorNamed('Error', { code: 'E_OTHER' }), new TimeoutError('late')],
      ),
  },
  {
    id: 'retries/per-subscription',
    name: "a subscription's policy counts over the bus's, and takes from it what it leaves open",
    async run(t) {
      assert.deepEqual(await attemptsOf(t, { ...SOON, maxRetries: 1 }, { maxRetries: 3 }, [undefined]), [4]);
    },
  },
  {
    id: 'retries/per-bus',
    name: "a subscription without a policy has the bus's",
    async run(t) {
      assert.deepEqual(await attemptsOf(t, { ...SOON, maxRetries: 1 }, undefined, [undefined]), [2]);
    },
  },
  {
    id: 'retries/per-publish',
    name: "a message's own policy counts over both, and takes from them what it leaves open",
    async run(t) {
      const own = [{ maxRetries: 0 }, { maxRetries: 4 }, { delays: [10, 10] }, false, undefined] as const;
      assert.deepEqual(
        await attemptsOf(t, { ...SOON, maxRetries: 9 }, { maxRetries: 1 }, own),
        [1, 5, 3, 1, 2],
      );
    },
  },
  {
    id: 'retries/per-publish-errors',
    name: "a message's own retryOn, by name or code, travels with it",
    async run(t) {
      const own = [{ retryOn: 'Always' }, { retryOn: ['Never', 'E_NEVER'] }, undefined] as const;
      assert.deepEqual(await attemptsOf(t, SOON, undefined, own), [3, 1, 3]);
    },
  },
  {
    id: 'retries/switched-off',
    name: 'retry false of the bus holds for its subscriptions, which may switch retries on again',
    async run(t) {
      assert.deepEqual(await attemptsOf(t, false, undefined, [undefined]), [1]);
      assert.deepEqual(await attemptsOf(t, false, SOON, [undefined], t.topic('again')), [3]);
    },
  },
  {
    id: 'retries/events',
    name: 'each failure and each retry is an event with message, group, attempt, error and delay, and is counted',
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('dead') } });
      const events: unknown[] = [];
      const about = { topic: t.topic(), pattern: t.topic(), group: t.name() };
      for (const name of ['message.failed', 'message.retried', 'message.dead_lettered'] as const) {
        bus.on(name, ({ id, topic, pattern, group, attempt }) => {
          events.push([name, attempt]);
          assert.deepEqual({ topic, pattern, group }, about);
          assert.equal(id, 'of-events');
        });
      }
      let error: unknown;
      bus.on('message.failed', (event) => {
        error = event.error;
      });
      const thrown = errorNamed('Always');
      const { delays } = await failing(t, bus, t.topic(), () => thrown, {
        initialDelay: 10,
        maxRetries: 1,
        jitter: 0,
      });
      await bus.publish(t.topic(), 1, { id: 'of-events' });
      await t.until('it is a dead letter', () => bus.stats().deadLettered === 1);
      assert.deepEqual(events, [
        ['message.failed', 1],
        ['message.retried', 1],
        ['message.failed', 2],
        ['message.dead_lettered', 2],
      ]);
      assert.equal(error, thrown);
      assert.deepEqual(delays, [10]);
      const { failed, retried, deadLettered, handled, dropped } = bus.stats();
      assert.deepEqual([failed, retried, deadLettered, handled, dropped], [2, 1, 1, 0, 0]);
    },
  },
  {
    id: 'retries/many-at-once',
    name: '200 messages that each fail twice are all handled, each with attempts 1, 2 and 3',
    async run(t) {
      const bus = await t.bus();
      const fails = ({ attempt }: { attempt: number }): unknown =>
        attempt < 3 ? errorNamed('NotYet') : undefined;
      const { runs } = await failing(t, bus, t.topic(), fails, SOON, { concurrency: 20 });
      await Promise.all(
        numbers(200).map((n) => bus.publish(t.topic(), n, n % 2 ? { key: `k${n % 9}` } : {})),
      );
      await t.until('all were handled', () => bus.stats().handled >= 200);
      for (const n of numbers(200)) {
        const attempts = runs.filter(({ data }) => data === n).map(({ attempt }) => attempt);
        assert.deepEqual(attempts, [1, 2, 3], `message ${n}`);
      }
    },
  },
]);
