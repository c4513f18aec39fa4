import assert from 'node:assert/strict';
import { LeaseLostError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';

/** Soon, where the delay itself does not matter. */
const RETRY = { initialDelay: 10, maxRetries: 5 };

/** How long a handler may take. */
export const settlementTimeouts: readonly Case[] = chapter('settlement', [
  {
    id: 'settlement/timeout',
    name: 'a handler that takes too long is aborted, its message fails and comes again, and its late ack is refused',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: Message[] = [];
      const reasons: string[] = [];
      const lost: string[] = [];
      bus.on('lease.lost', ({ reason, id }) => lost.push(`${reason} ${id}`));
      await bus.subscribe(
        topic,
        async (message) => {
          seen.push(message);
          if (message.attempt > 1) return;
          await new Promise<void>((resolve) =>
            message.signal.addEventListener('abort', () => {
              reasons.push((message.signal.reason as Error).name);
              resolve();
            }),
          );
        },
        { group: t.name(), handlerTimeout: 50 },
      );
      const { id } = await bus.publish(topic, 1);
      await t.until('it came again', () => seen.length >= 2);
      assert.deepEqual(reasons, ['TimeoutError']);
      assert.equal(seen[1]!.attempt, 2);
      await rejection(LeaseLostError, () => seen[0]!.ack());
      await t.until('it is handled', () => bus.stats().handled === 1);
      assert.deepEqual(lost, [`timeout ${id}`, `late ${id}`]);
      await settled(t, bus, topic, t.name());
      assert.equal(seen.length, 2);
    },
  },
  {
    id: 'settlement/timeout-signal',
    name: 'the signal of a message whose time is up has fired, also for who asks for it only then',
    async run(t) {
      const bus = await t.bus({ retry: { maxRetries: 0 } });
      const topic = t.topic();
      const fired: boolean[] = [];
      const handled = Promise.withResolvers<void>();
      let failed = false;
      bus.on('message.failed', () => {
        failed = true;
      });
      await bus.subscribe(
        topic,
        async (message) => {
          await t.until('it has timed out', () => failed);
          fired.push(message.signal.aborted);
          handled.resolve();
        },
        { group: t.name(), handlerTimeout: 20 },
      );
      await bus.publish(topic, 1);
      await handled.promise;
      assert.deepEqual(fired, [true]);
    },
  },
  {
    id: 'settlement/extend',
    name: 'a handler that asks for more time gets it',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        async (message) => {
          const isExtended = message.data === 'extended';
          if (isExtended) message.extend(60_000);
          seen.push(`${message.data} ${message.attempt}`);
          if (message.attempt > 1) return;
          // It began first: when the other's time is up, its own would have been.
          await t.until('the time of one is up', () =>
            isExtended ? seen.includes('not aborted') : message.signal.aborted,
          );
          seen.push(`${message.data} ${message.signal.aborted ? 'aborted' : 'in peace'}`);
        },
        { group: t.name(), handlerTimeout: 60, concurrency: 2 },
      );
      await bus.publish(topic, 'extended');
      await bus.publish(topic, 'not');
      await t.until('all came', () => seen.length >= 5);
      await settled(t, bus, topic, t.name());
      assert.deepEqual(seen.toSorted(), ['extended 1', 'extended in peace', 'not 1', 'not 2', 'not aborted']);
    },
  },
]);
