import assert from 'node:assert/strict';
import { ConnectionError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { failing } from '../helpers/failing.ts';
import { settled } from '../helpers/groups.ts';
import { arrival, listen } from '../helpers/listen.ts';
import { numbers } from '../helpers/sequence.ts';
import { wrapBroker } from '../helpers/wrapped-broker.ts';

const NEVER = (): Error => new Error('never');

/** One try, so that a message is a dead letter at once. */
const ONCE = { maxRetries: 0 };

/** How a dead letter gets to its place, and stays there. */
export const deadLettersStore: readonly Case[] = chapter('dead-letters', [
  {
    id: 'dead-letters/store-fails',
    name: 'a dead letter that cannot be stored is tried again until it is, and only then is its message acked',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      let refused = 0;
      const broker = wrapBroker(await t.create(), (inner) => ({
        async publish(records, deadline) {
          if (records.some((record) => record.topic === dead) && refused++ < 2)
            throw new ConnectionError('a failure for the test', { broker: inner.name });
          return inner.publish(records, deadline);
        },
      }));
      const bus = await t.bus({ broker, deadLetter: { topic: dead }, retry: ONCE });
      const other = await t.bus();
      const letters = await collectDeadLetters(t, other, dead);
      const { runs } = await failing(t, bus, topic, NEVER);
      await bus.publish(topic, 'x');
      await t.until('the first try failed', () => refused >= 1);
      const { acked, deadLettered } = bus.stats();
      assert.deepEqual([acked, deadLettered], [0, 0], 'not acked while it is not stored');
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      await t.until('it is acked', () => bus.stats().acked === 1);
      assert.deepEqual([refused, runs.length, letters.data], [3, 1, ['x']]);
    },
  },
  {
    id: 'dead-letters/store-fails-at-close',
    name: 'a message whose dead letter could not be stored before the close is not lost: it comes again',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      let refused = 0;
      const broker = wrapBroker(await t.create(), (inner) => ({
        async publish(records, deadline) {
          if (!records.some((record) => record.topic === dead)) return inner.publish(records, deadline);
          refused++;
          throw new ConnectionError('a failure for the test', { broker: inner.name });
        },
      }));
      const bus = await t.bus({ broker, deadLetter: { topic: dead }, retry: { maxRetries: 0 } });
      await failing(t, bus, topic, NEVER);
      await bus.publish(topic, 'x');
      await t.until('it could not be stored', () => refused >= 1);
      await bus.close();
      const later = await t.bus({ retry: { maxRetries: 5 } });
      const got = await listen(t, later, topic);
      await t.until('it came again', () => got.messages.length > 0);
      assert.deepEqual([got.data, got.messages[0]!.attempt], [['x'], 2]);
    },
  },
  {
    id: 'dead-letters/of-dead-letters',
    name: 'a dead letter whose handler fails stays where it is and comes again; it is no dead letter of a dead letter',
    async run(t) {
      const dead = t.topic('dead');
      const retry = { maxRetries: 1, initialDelay: 10, maxDelay: 30 };
      const bus = await t.bus({ deadLetter: { topic: dead }, retry });
      await failing(t, bus, t.topic(), NEVER);
      const attempts: number[] = [];
      const reasons = new Set<string>();
      await bus.subscribe(
        dead,
        ({ attempt, failure }) => {
          attempts.push(attempt);
          reasons.add(failure!.topic);
          if (attempt < 5) throw new Error('cannot handle dead letters either');
        },
        { group: t.name('janitor') },
      );
      await bus.publish(t.topic(), 'x');
      await t.until('it came often', () => attempts.length >= 5);
      await settled(t, bus, dead, t.name('janitor'));
      assert.deepEqual(attempts, [1, 2, 3, 4, 5]);
      assert.deepEqual([...reasons], [t.topic()]);
      assert.equal(bus.stats().deadLettered, 1);
    },
  },
  {
    id: 'dead-letters/of-ephemeral',
    name: 'a message of an ephemeral topic that fails for good is a dead letter like any other',
    needs: ['ephemeral'],
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const topics = { [topic]: { durability: 'ephemeral' } } as const;
      const retry = { maxRetries: 1, initialDelay: 10 };
      const bus = await t.bus({ topics, deadLetter: { topic: dead }, retry });
      const { runs } = await failing(t, bus, topic, NEVER);
      await bus.publish(topic, 'x');
      await t.until('it is a dead letter', () => bus.stats().deadLettered === 1);
      assert.deepEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2],
      );
      await bus.close();
      const later = await t.bus();
      if (later.capabilities.browse === 'none') return;
      const { items } = await later.deadLetters.list({ deadLetterTopic: dead });
      assert.deepEqual(
        items.map(({ data, attempts, group }) => [data, attempts, group]),
        [['x', 2, t.name()]],
      );
    },
  },
  {
    id: 'dead-letters/next-is-handled',
    name: 'a dead letter does not hold up the next message, also of its key',
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('dead') }, retry: ONCE });
      const fail = ({ data }: { data: unknown }): unknown =>
        (data as number) % 2 === 0 ? NEVER() : undefined;
      const { runs } = await failing(t, bus, t.topic(), fail);
      for (const n of numbers(20)) await bus.publish(t.topic(), n, { key: 'k' });
      await t.until('all were handled', () => runs.length >= 20);
      assert.deepEqual(
        runs.map(({ data }) => data).toSorted((a, b) => Number(a) - Number(b)),
        numbers(20),
      );
      await t.until('all are counted', () => bus.stats().deadLettered === 10 && bus.stats().handled === 10);
      const got = await listen(t, await t.bus(), t.topic('dead'), { group: t.name('later') });
      await arrival(t, got, () => bus.publish(t.topic(), 20));
      assert.equal(got.data[0], 20);
    },
  },
]);
