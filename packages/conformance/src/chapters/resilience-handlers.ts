import assert from 'node:assert/strict';
import { ClosedError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { numbers } from '../helpers/sequence.ts';

const never = (): Promise<never> => new Promise(() => {});

/** Handlers and rules that do what nobody expects of them. */
export const resilienceHandlers: readonly Case[] = chapter('resilience', [
  {
    id: 'resilience/rule-that-throws',
    name: 'a retry rule that throws does not keep its message from being retried, dead-lettered and followed by others',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const [topic, group] = [t.topic(), t.name()];
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      const attempts: number[] = [];
      await bus.subscribe(
        topic,
        ({ data, attempt }) => {
          if (data === 'next') return;
          attempts.push(attempt);
          throw new Error('no response');
        },
        {
          group,
          retry: {
            maxRetries: 1,
            delays: [10],
            retryOn: (error) => (error as { response: { status: number } }).response.status >= 500,
          },
        },
      );
      await bus.publish(topic, 'bad', { key: 'k' });
      await bus.publish(topic, 'next', { key: 'k' });
      await t.until('it is dead', () => letters.messages.length === 1);
      assert.deepEqual(attempts, [1, 2]);
      assert.equal(letters.messages[0]!.failure!.error!.message, 'no response');
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'resilience/errors-that-cannot-be-read',
    name: 'whatever a handler throws, its message is dead-lettered with what can be said of it',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const [topic, group] = [t.topic(), t.name()];
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      const odd: unknown[] = [
        Object.create(null),
        Object.assign(new Error('x'), { message: 7, stack: null }),
        Symbol('s'),
        undefined,
        { toString: () => never() },
      ];
      await bus.subscribe<number>(topic, ({ data }) => Promise.reject(odd[data]), { group, retry: false });
      await bus.publishMany(odd.map((_, data) => ({ topic, data })));
      await t.until('all are dead', () => letters.messages.length === odd.length);
      for (const { failure } of letters.messages) assert.equal(failure!.attempts, 1);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'resilience/hung-trial',
    name: 'a trial of a circuit breaker whose handler acked and then hung makes room for another',
    async run(t) {
      const bus = await t.bus();
      const [topic, group] = [t.topic(), t.name()];
      await standingGroup(bus, topic, group);
      const handled: string[] = [];
      let [opened, hung] = [0, false];
      bus.on('circuit_breaker.opened', () => opened++);
      await bus.subscribe<string>(
        topic,
        async (message) => {
          const name = message.data as string;
          if (name === 'fails' && message.attempt === 1) throw new Error('down');
          if (name === 'hangs') {
            hung = true;
            await message.ack();
            await never();
          }
          handled.push(name);
        },
        {
          group,
          concurrency: 1,
          handlerTimeout: 100,
          retry: { maxRetries: 5, delays: [500] },
          circuitBreaker: { failureThreshold: 1, recoveryTimeout: 20, halfOpenRequests: 1 },
        },
      );
      await bus.publish(topic, 'fails');
      await t.until('it opened', () => opened === 1);
      await bus.publish(topic, 'hangs');
      await t.until('the trial hangs', () => hung);
      await bus.publish(topic, 'good');
      await t.until('the others were handled', () => handled.includes('fails') && handled.includes('good'));
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'resilience/hung-batch',
    name: 'a batch of which a part was filtered out frees its slot when the handler hangs',
    async run(t) {
      const bus = await t.bus();
      const [topic, group] = [t.topic(), t.name()];
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(4).map((data) => ({ topic, data })));
      const seen: number[][] = [];
      await bus.subscribe(
        topic,
        (messages: readonly Message<number>[]) => {
          seen.push(messages.map(({ data }) => data));
          return seen.length === 1 ? never() : undefined;
        },
        {
          group,
          ack: { batch: 2, maxWait: 20 },
          concurrency: 1,
          handlerTimeout: 60,
          filter: ({ data }) => (data as number) % 2 === 1,
          retry: { maxRetries: 3, delays: [10] },
        },
      );
      await settled(t, bus, topic, group);
      assert.deepEqual([...new Set(seen.flat())].sort(), [1, 3]);
    },
  },
  {
    id: 'resilience/closed-elsewhere',
    name: 'a handler that fails because another bus is closed fails as any other',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const topic = t.topic();
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      let tries = 0;
      await bus.subscribe(topic, () => {
        tries++;
        throw new ClosedError('another bus is closed');
      });
      await bus.publish(topic, 1);
      await t.until('it is dead', () => letters.messages.length === 1);
      assert.equal(letters.messages[0]!.failure!.reason, 'not-retryable');
      assert.equal(tries, 1);
    },
  },
]);
