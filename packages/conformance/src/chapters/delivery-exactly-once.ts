import assert from 'node:assert/strict';
import { MessageTooLargeError, SerializationError, UnsupportedError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { startChild } from '../child/start.ts';
import { standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

/** Brokers whose window is the server's and cannot be chosen per bus: there a key is still known after a short one. */
const FIXED_WINDOW: Readonly<Record<string, boolean>> = { sqs: true, servicebus: true };

const exactly = { delivery: 'exactly-once' } as const;

/** Exactly once, as far as a broker can know. */
export const deliveryExactlyOnce: readonly Case[] = chapter('delivery', [
  {
    id: 'delivery/exactly-once',
    name: 'a second publish with the same key is accepted and reaches no group twice',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const all = [t.collector(), t.collector()];
      for (const [n, got] of all.entries()) {
        await bus.subscribe(topic, got.handle, { group: t.name(`g${n}`), ...exactly });
      }
      for (const data of ['first', 'second', 'third']) {
        await bus.publish(topic, data, { ...exactly, idempotencyKey: 'same' });
      }
      await bus.publish(topic, 'other', { ...exactly, idempotencyKey: 'other' });
      await bus.publish(topic, 'plain');
      await t.until('all have the last', () => all.every((got) => got.data.includes('plain')));
      await t.until('all have the other', () => all.every((got) => got.data.includes('other')));
      for (const got of all) assert.deepEqual(got.data.toSorted(), ['first', 'other', 'plain']);
      const first = all[0]!.messages.find(({ data }) => data === 'first');
      assert.equal(first!.delivery, 'exactly-once');
    },
    async refused(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const publish = (): unknown => bus.publish(topic, 1, { ...exactly, idempotencyKey: 'k' });
      await rejection(UnsupportedError, publish, 'delivery');
      await rejection(UnsupportedError, () => bus.subscribe(topic, () => {}, exactly), 'delivery');
    },
  },
  {
    id: 'delivery/exactly-once-concurrent',
    name: '50 publishes with one key at once, from two buses, are one message',
    needs: ['deduplication'],
    async run(t) {
      const buses = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const got = t.collector<number>();
      await buses[0]!.subscribe<number>(topic, got.handle, { group: t.name() });
      const results = await Promise.allSettled(
        numbers(50).map((n) => buses[n % 2]!.publish(topic, n, { ...exactly, idempotencyKey: 'same' })),
      );
      assert.ok(results.every(({ status }) => status === 'fulfilled'));
      await t.after(
        () => buses[1]!.publish(topic, -1),
        () => got.data.includes(-1),
      );
      await t.until('it came', () => got.data.length >= 2);
      assert.equal(got.data.length, 2, `handled ${got.data}`);
    },
  },
  {
    id: 'delivery/exactly-once-in-one-batch',
    name: 'duplicates within one publishMany are one message',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name() });
      const entries = numbers(100).map((n) => ({
        topic,
        data: n % 10,
        ...exactly,
        idempotencyKey: `k${n % 10}`,
      }));
      assert.equal((await bus.publishMany(entries)).length, 100);
      await t.until('all came', () => got.data.length >= 10);
      await t.after(
        () => bus.publish(topic, -1),
        () => got.data.includes(-1),
      );
      assert.deepEqual(
        got.data.toSorted((a, b) => a - b),
        [-1, ...numbers(10)],
      );
    },
  },
  {
    id: 'delivery/exactly-once-by-topic',
    name: 'a key counts within its topic; without one the id of the message is the key, and one of them is needed',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus();
      const topics = [t.topic('a'), t.topic('b')];
      const got = t.collector();
      for (const topic of topics) await bus.subscribe(topic, got.handle, { group: t.name() });
      const id = t.name('id');
      for (const topic of topics) {
        await bus.publish(topic, topic, { ...exactly, id });
        await bus.publish(topic, topic, { ...exactly, id });
      }
      await t.until('both came', () => got.data.length >= 2);
      for (const topic of topics) {
        await t.after(
          () => bus.publish(topic, `${topic} marker`),
          () => got.data.includes(`${topic} marker`),
        );
      }
      assert.equal(got.data.length, 4);
      await rejection(ValidationError, () => bus.publish(topics[0]!, 1, exactly), 'idempotencyKey');
      const useless = { idempotencyKey: 'k' };
      await rejection(ValidationError, () => bus.publish(topics[0]!, 1, useless), 'idempotencyKey');
    },
  },
  {
    id: 'delivery/exactly-once-after-a-failure',
    name: 'a publish that failed does not use its key up',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const options = { ...exactly, idempotencyKey: 'key' };
      const { maxBodyBytes } = t.capabilities.limits;
      const circular: Record<string, unknown> = {};
      circular.self = circular;
      await rejection(SerializationError, () => bus.publish(topic, circular, options));
      if (maxBodyBytes < 32 * 1024 * 1024) {
        const large = new Uint8Array(maxBodyBytes + 1);
        await rejection(MessageTooLargeError, () => bus.publish(topic, large, options));
      }
      await bus.publish(topic, 'good', options);
      await t.until('it came', () => got.data.length === 1);
      assert.deepEqual(got.data, ['good']);
    },
  },
  {
    id: 'delivery/exactly-once-retries',
    name: 'a retry is no duplicate: a failing message comes again until it is handled',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const attempts: number[] = [];
      await bus.subscribe(
        topic,
        ({ attempt }) => {
          attempts.push(attempt);
          if (attempt < 3) throw new Error('not yet');
        },
        { group: t.name(), retry: { delays: [10, 30] }, ...exactly },
      );
      await bus.publish(topic, 1, { ...exactly, idempotencyKey: 'k' });
      await t.until('it was handled', () => attempts.length === 3);
      assert.deepEqual(attempts, [1, 2, 3]);
    },
  },
  {
    id: 'delivery/exactly-once-replay',
    name: 'a dead letter that is replayed is no duplicate',
    needs: ['deduplication', 'browse'],
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: false });
      const topic = t.topic();
      let isBroken = true;
      const got = t.collector();
      const handle = (message: Parameters<typeof got.handle>[0]): void => {
        if (isBroken) throw new Error('broken');
        got.handle(message);
      };
      await bus.subscribe(topic, handle, { group: t.name() });
      await bus.publish(topic, 1, { ...exactly, idempotencyKey: 'k' });
      await t.until('it is dead', () => bus.stats().deadLettered === 1);
      isBroken = false;
      assert.equal(await bus.deadLetters.replay({ topic }), 1);
      await t.until('it was handled', () => got.data.length === 1);
      assert.deepEqual(got.data, [1]);
    },
  },
  {
    id: 'delivery/exactly-once-delayed',
    name: 'a duplicate of a delayed message is dropped as well',
    needs: ['deduplication', 'delay'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const options = { ...exactly, idempotencyKey: 'k', delay: 100 };
      await bus.publish(topic, 'first', options);
      await bus.publish(topic, 'second', options);
      await bus.publish(topic, 'marker', { delay: 150 });
      await t.until('the marker came', () => got.data.includes('marker'));
      await t.until('it came', () => got.data.length >= 2);
      assert.deepEqual(got.data.toSorted(), ['first', 'marker']);
    },
  },
  {
    id: 'delivery/exactly-once-window',
    name: 'a key is forgotten after the window, where the window can be chosen',
    needs: ['deduplication'],
    async run(t) {
      const bus = await t.bus({ deduplicationWindow: 250 });
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      const options = { ...exactly, idempotencyKey: 'k' };
      await bus.publish(topic, 'first', options);
      const published = Date.now();
      await t.until('the window is over', () => Date.now() > published + 350);
      await bus.publish(topic, 'second', options);
      await t.after(
        () => bus.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      const expected = FIXED_WINDOW[t.broker] ? ['first', 'marker'] : ['first', 'marker', 'second'];
      await t.until('all came', () => got.data.length >= expected.length);
      assert.deepEqual(got.data.toSorted(), expected);
    },
  },
  {
    id: 'delivery/exactly-once-after-a-crash',
    name: 'a key is known after its publisher has crashed and another has taken over',
    needs: ['deduplication'],
    power: ['crash'],
    async run(t) {
      const { bus: doomed, broker } = await t.busWithBroker();
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const options = { ...exactly, idempotencyKey: 'k' };
      await doomed.publish(topic, 'first', options);
      await t.server.crash!(broker);
      await bus.publish(topic, 'second', options);
      await t.after(
        () => bus.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      await t.until('the first came', () => got.data.includes('first'));
      assert.deepEqual(got.data.toSorted(), ['first', 'marker']);
    },
  },
  {
    id: 'delivery/exactly-once-processes',
    name: 'two processes that publish with one key at once publish one message',
    needs: ['deduplication'],
    power: ['processes'],
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group: t.name() });
      const children = [await startChild(t), await startChild(t)];
      const command = { do: 'publish', topic, count: 20, idempotencyKey: 'same' } as const;
      await Promise.all(children.map((child, n) => child.call({ ...command, from: n * 100 })));
      await t.after(
        () => bus.publish(topic, -1),
        () => got.data.includes(-1),
      );
      await t.until('one came', () => got.data.length >= 2);
      assert.equal(got.data.length, 2, `handled ${got.data}`);
    },
  },
]);
