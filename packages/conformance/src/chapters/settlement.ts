import assert from 'node:assert/strict';
import { type Message, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Soon, where the delay itself does not matter. */
const RETRY = { initialDelay: 10, maxRetries: 5 };

/** What settles a message, and what that does. */
export const settlement: readonly Case[] = chapter('settlement', [
  {
    id: 'settlement/nack',
    name: 'a nacked message comes again with attempt 2, and is the same otherwise',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: Message[] = [];
      await bus.subscribe(
        topic,
        async (message) => {
          seen.push(message);
          if (message.attempt === 1) await message.nack();
          else await message.ack();
        },
        { group: t.name(), ack: 'manual' },
      );
      const options = { headers: { a: 'b' }, key: 'k', correlationId: 'c', type: 'x', ttl: 600_000 };
      const { id } = await bus.publish(topic, { n: 1 }, options);
      await t.until('it came again', () => seen.length >= 2);
      await settled(t, bus, topic, t.name());
      assert.deepEqual(
        seen.map(({ attempt }) => attempt),
        [1, 2],
      );
      const [first, second] = seen;
      for (const name of [
        'topic',
        'key',
        'type',
        'source',
        'correlationId',
        'priority',
        'contentType',
      ] as const)
        assert.equal(second![name], first![name], name);
      assert.equal(second!.id, id);
      assert.deepEqual(second!.data, { n: 1 });
      assert.deepEqual({ ...second!.headers }, { a: 'b' });
      assert.deepEqual([second!.time, second!.expiresAt], [first!.time, first!.expiresAt]);
    },
  },
  {
    id: 'settlement/auto',
    name: 'in auto mode a message is acked when its handler has resolved, and not before',
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const gate = Promise.withResolvers<void>();
      let started = false;
      await bus.subscribe(
        topic,
        () => {
          started = true;
          return gate.promise;
        },
        { group: t.name() },
      );
      await bus.publish(topic, 1);
      await t.until('it is being handled', () => started);
      assert.equal(bus.stats().acked, 0, 'not yet');
      gate.resolve();
      await t.until('it is acked', () => bus.stats().acked === 1);
      await bus.close();
      const later = await t.bus();
      const got = await listen(t, later, topic);
      await t.after(
        () => later.publish(topic, 2),
        () => got.data.includes(2),
      );
      assert.deepEqual(got.data, [2]);
    },
  },
  {
    id: 'settlement/what-fails',
    name: 'a handler that throws, rejects, or throws what is no error fails its message',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: string[] = [];
      const fail: Readonly<Record<string, () => unknown>> = {
        throws: () => {
          throw new Error('thrown');
        },
        rejects: () => Promise.reject(new Error('rejected')),
        text: () => Promise.reject('only a text'),
        nothing: () => Promise.reject(undefined),
      };
      await bus.subscribe<string>(
        topic,
        ({ data, attempt }) => {
          seen.push(`${data} ${attempt}`);
          return attempt === 1 ? fail[data]!() : 'fine';
        },
        { group: t.name(), concurrency: 4 },
      );
      await Promise.all(Object.keys(fail).map((name) => bus.publish(topic, name)));
      await t.until('each came twice', () => seen.length >= 8);
      const expected = Object.keys(fail).flatMap((name) => [`${name} 1`, `${name} 2`]);
      assert.deepEqual(seen.toSorted(), expected.toSorted());
      await t.until('it is counted', () => bus.stats().handled === 4);
      assert.equal(bus.stats().failed, 4);
    },
  },
  {
    id: 'settlement/manual',
    name: 'in manual mode a message is not settled by the end of its handler, and can be later from anywhere',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const seen: Message<number>[] = [];
      await bus.subscribe<number>(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
      });
      for (const n of numbers(5)) await bus.publish(topic, n);
      await t.until('all came, none being acked', () => seen.length >= 5);
      assert.equal(bus.stats().acked, 0);
      for (const message of seen.toReversed()) await message.ack();
      await t.until('all are acked', () => bus.stats().acked === 5);
      await bus.close();
      const later = await t.bus();
      const got = await listen(t, later, topic);
      await t.after(
        () => later.publish(topic, 'end'),
        () => got.data.includes('end'),
      );
      assert.deepEqual(got.data, ['end'], 'nothing comes again');
    },
  },
  {
    id: 'settlement/any-order',
    name: 'acks may come in any order: what was not acked is not skipped by later acks, and comes again',
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const seen: Message<number>[] = [];
      await bus.subscribe<number>(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
      });
      for (const n of numbers(20)) await bus.publish(topic, n);
      await t.until('all came', () => seen.length >= 20);
      const kept = [0, 3, 4, 11];
      for (const message of seen.toReversed()) if (!kept.includes(message.data)) await message.ack();
      await bus.close({ timeout: 0 });
      const later = await t.bus();
      const got = await listen<number>(t, later, topic);
      await t.until('what was not acked came', () => got.data.length >= kept.length);
      await settled(t, later, topic, t.name());
      assert.deepEqual(distinct(got.data), kept);
      for (const { attempt } of got.messages) assert.equal(attempt, 2);
    },
  },
  {
    id: 'settlement/twice',
    name: 'acking twice, or at once from several places, is harmless; another settlement after it is refused',
    async run(t) {
      const bus = await t.bus({ retry: RETRY });
      const topic = t.topic();
      const seen: Message<string>[] = [];
      await bus.subscribe<string>(topic, (message) => void seen.push(message), {
        group: t.name(),
        ack: 'manual',
      });
      await bus.publish(topic, 'ack');
      await bus.publish(topic, 'nack');
      await t.until('both came', () => seen.length >= 2);
      const acked = seen.find(({ data }) => data === 'ack')!;
      const nacked = seen.find(({ data }) => data === 'nack')!;
      await Promise.all([acked.ack(), acked.ack(), acked.ack()]);
      await acked.ack();
      await rejection(ValidationError, () => acked.nack(), 'settled already');
      await rejection(ValidationError, () => acked.deadLetter('x'), 'settled already');
      await Promise.all([nacked.nack(), nacked.nack()]);
      await rejection(ValidationError, () => nacked.ack(), 'settled already');
      const again = await t.until('the other came again', () => seen[2]);
      assert.deepEqual([again.data, again.attempt], ['nack', 2]);
      await again.ack();
      await settled(t, bus, topic, t.name());
      assert.equal(seen.length, 3);
      await t.until('counted once each', () => bus.stats().acked === 2);
    },
  },
  {
    id: 'settlement/auto-by-hand',
    name: 'a handler in auto mode may settle itself: its end then changes nothing, not even by throwing',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ retry: RETRY, deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        async (message) => {
          seen.push(`${message.data} ${message.attempt}`);
          if (message.attempt > 1) return;
          if (message.data === 'acked, then throws') {
            await message.ack();
            throw new Error('too late');
          }
          if (message.data === 'nacked, then returns') await message.nack();
          if (message.data === 'dead-lettered') await message.deadLetter('no use');
        },
        { group: t.name(), concurrency: 3 },
      );
      for (const data of ['acked, then throws', 'nacked, then returns', 'dead-lettered'])
        await bus.publish(topic, data);
      await t.until('all came', () => seen.length >= 4 && letters.data.length >= 1);
      await settled(t, bus, topic, t.name());
      assert.deepEqual(seen.toSorted(), [
        'acked, then throws 1',
        'dead-lettered 1',
        'nacked, then returns 1',
        'nacked, then returns 2',
      ]);
      assert.deepEqual(letters.data, ['dead-lettered']);
    },
  },
  {
    id: 'settlement/reject',
    name: 'reject and deadLetter send a message to the dead letters with their reason; reject with requeue does not',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      const again: Message<string>[] = [];
      const settle: Readonly<Record<string, (message: Message<string>) => Promise<void>>> = {
        deadLetter: (message) => message.deadLetter('a reason: "ä"'),
        reject: (message) => message.reject(),
        reasoned: (message) => message.reject({ reason: 'not mine' }),
        requeued: (message) => message.reject({ requeue: true, delay: 10 }),
      };
      await bus.subscribe<string>(
        topic,
        async (message) => {
          if (message.attempt === 1) return settle[message.data]!(message);
          again.push(message);
          await message.ack();
        },
        { group: t.name(), ack: 'manual' },
      );
      for (const name of Object.keys(settle)) await bus.publish(topic, name);
      await t.until('all are done', () => letters.messages.length >= 3 && again.length >= 1);
      const reasons = Object.fromEntries(
        letters.messages.map(({ data, failure }) => [data, failure!.reason]),
      );
      assert.deepEqual(reasons, { deadLetter: 'a reason: "ä"', reject: 'rejected', reasoned: 'not mine' });
      assert.deepEqual(
        again.map(({ data, attempt }) => [data, attempt]),
        [['requeued', 2]],
      );
      for (const { failure } of letters.messages) assert.equal(failure!.attempts, 1);
    },
  },
  {
    id: 'settlement/bad-settlement',
    name: 'a settlement with what is not allowed is refused, and the message can still be settled',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const seen: Message[] = [];
      await bus.subscribe(topic, (message) => void seen.push(message), { group: t.name(), ack: 'manual' });
      await bus.publish(topic, 1);
      const message = await t.until('it came', () => seen[0]);
      await rejection(ValidationError, () => message.nack({ delay: -1 }), 'delay', '-1');
      await rejection(ValidationError, () => message.deadLetter(''), 'reason');
      await rejection(ValidationError, () => message.extend(0), 'extend', '0');
      await message.ack();
      await t.until('it is acked', () => bus.stats().acked === 1);
    },
  },
]);
