import assert from 'node:assert/strict';
import type { BusEvents } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';

/** Messages that are too old to be handled. */
export const timeExpiry: readonly Case[] = chapter('time', [
  {
    id: 'time/ttl',
    name: 'an expired message is not handled but counted, reported and gone; the others are handled',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      await standingGroup(bus, topic, group);
      const { id } = await bus.publish(topic, 'short', { ttl: 30 });
      await bus.publish(topic, 'long', { ttl: 600_000 });
      await bus.publish(topic, 'for ever');
      const published = Date.now();
      await t.until('the first has expired', () => Date.now() > published + 60);
      const expired: BusEvents['message.expired'][] = [];
      bus.on('message.expired', (event) => expired.push(event));
      const got = t.collector();
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      await bus.subscribe(topic, got.handle, { group });
      await t.until('the others came', () => got.data.length >= 2);
      assert.deepEqual(got.data, ['long', 'for ever']);
      // A server that drops it itself leaves nothing to report.
      if (t.capabilities.expiry === 'none') {
        await t.until('it is reported', () => expired.length > 0);
        assert.equal(expired[0]!.id, id);
        assert.equal(expired[0]!.topic, topic);
        assert.equal(expired[0]!.group, group);
        assert.equal(bus.stats().expired, 1);
      }
      await settled(t, bus, topic, group);
      assert.deepEqual(letters.data, []);
    },
  },
  {
    id: 'time/ttl-in-time',
    name: 'a message says when it expires; one without a ttl never does',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      await bus.publish(topic, 1, { ttl: 60_000 });
      await bus.publish(topic, 2);
      await t.until('both came', () => got.messages.length === 2);
      const [mortal, immortal] = got.messages;
      assert.equal(mortal!.expiresAt!.getTime(), mortal!.time.getTime() + 60_000);
      assert.equal(immortal!.expiresAt, undefined);
    },
  },
  {
    id: 'time/ttl-default',
    name: 'a topic has a default ttl, which a message can override',
    async run(t) {
      const topic = t.topic('mortal.x');
      const group = t.name();
      const bus = await t.bus({ topics: { [t.topic('mortal.#')]: { ttl: 30 } } });
      await standingGroup(bus, topic, group);
      await bus.publish(topic, 'default');
      await bus.publish(topic, 'own', { ttl: 600_000 });
      const published = Date.now();
      await t.until('the first has expired', () => Date.now() > published + 60);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await t.until('one came', () => got.data.length > 0);
      await settled(t, bus, topic, group);
      assert.deepEqual(got.data, ['own']);
    },
  },
  {
    id: 'time/ttl-waiting-for-retry',
    name: 'a message that expires while it waits for a retry is neither handled again nor dead-lettered',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      const attempts: number[] = [];
      const handle = (message: { attempt: number }): never => {
        attempts.push(message.attempt);
        throw new Error('fails');
      };
      await bus.subscribe(topic, handle, { group, retry: { delays: [400], maxRetries: 5 } });
      await bus.publish(topic, 1, { ttl: 300 });
      await t.until('it was tried', () => attempts.length === 1);
      if (t.capabilities.expiry === 'none') await t.until('it expired', () => bus.stats().expired === 1);
      await settled(t, bus, topic, group);
      assert.deepEqual(attempts, [1]);
      assert.deepEqual(letters.data, []);
    },
  },
  {
    id: 'time/ttl-waiting-in-memory',
    name: 'a prefetched message that expires behind a slow one is not handled',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const got = t.collector();
      const slow = Promise.withResolvers<void>();
      const handle = (message: Parameters<typeof got.handle>[0]): Promise<void> | undefined => {
        got.handle(message);
        return message.data === 'slow' ? slow.promise : undefined;
      };
      await bus.subscribe(topic, handle, { group, prefetch: 10 });
      await bus.publish(topic, 'slow');
      await bus.publish(topic, 'short', { ttl: 150 });
      await bus.publish(topic, 'last');
      const published = Date.now();
      await t.until('the slow one runs', () => got.data.length === 1);
      await t.until('the other has expired', () => Date.now() > published + 180);
      slow.resolve();
      await t.until('the last came', () => got.data.includes('last'));
      assert.deepEqual(got.data, ['slow', 'last']);
    },
  },
  {
    id: 'time/ttl-in-a-batch',
    name: 'a batch handler does not see expired messages',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany([
        { topic, data: 1 },
        { topic, data: 2, ttl: 30 },
        { topic, data: 3 },
        { topic, data: 4, ttl: 30 },
      ]);
      const published = Date.now();
      await t.until('two have expired', () => Date.now() > published + 60);
      const seen: unknown[] = [];
      await bus.subscribe(topic, (batch) => void seen.push(...batch.map(({ data }) => data)), {
        group,
        ack: { batch: 4, maxWait: 100 },
      });
      await t.until('the others came', () => seen.length >= 2);
      await settled(t, bus, topic, group);
      assert.deepEqual(seen, [1, 3]);
    },
  },
  {
    id: 'time/ttl-from-due',
    name: 'the ttl of a delayed message is counted from when it is due',
    needs: ['delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      await bus.publish(topic, 1, { delay: 250, ttl: 60_000 });
      await t.until('it came', () => got.messages.length === 1);
      const [message] = got.messages;
      assert.equal(message!.expiresAt!.getTime(), message!.time.getTime() + 250 + 60_000);
    },
  },
]);
