import { ConnectionError, createBus, type Delivery, type Sink, type Source } from '@ambus/core';
import { memory } from '@ambus/memory';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';
import { reading } from './support/serializer.ts';

it('lets the next of a key run when it is unknown what became of an ack', async () => {
  await using test = await createTestBus({ faults: [{ fault: 'fail', on: 'ack', times: 1 }] });
  const seen: unknown[] = [];
  await test.bus.subscribe(
    't',
    async (message) => {
      seen.push(message.data);
      await message.ack().catch(() => {});
    },
    { group: 'g', ack: 'manual' },
  );
  for (const n of [1, 2]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(1_000);
  expect(seen).toEqual([1, 2]);
});

it('keeps a batch in order through an outage of any length', async () => {
  let isUp = false;
  const serializer = reading(async (data) => {
    if (!isUp) throw new ConnectionError('no registry', { retryable: true });
    return data;
  });
  for (const outage of [500, 1_500, 2_500]) {
    isUp = false;
    await using test = await createTestBus({ serializer });
    const seen: unknown[] = [];
    await test.bus.subscribe('t', (messages) => void seen.push(...messages.map(({ data }) => data)), {
      group: 'g',
      ack: { batch: 3, maxWait: 10 },
    });
    for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
    await test.clock.advance(outage);
    isUp = true;
    await test.clock.advance(5_000);
    expect(seen).toEqual([1, 2, 3]);
  }
});

it('keeps a batch in order where one waits for the end of an outage and one before it fails', async () => {
  let readings = 0;
  const serializer = reading(async (data) => {
    if (data === 2 && readings++ === 0) throw new ConnectionError('no registry', { retryable: true });
    return data;
  });
  await using test = await createTestBus({ serializer });
  const seen: unknown[] = [];
  await test.bus.subscribe(
    't',
    (messages) => {
      seen.push(...messages.map(({ data, attempt }) => `${data} ${attempt}`));
      if (seen.length === 1) throw new Error('not yet');
    },
    { group: 'g', order: 'block', retry: { initialDelay: 5_000 }, ack: { batch: 3, maxWait: 10 } },
  );
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(20_000);
  expect(seen).toEqual(['1 1', '1 2', '2 1', '3 1']);
});

it('keeps a paused live batch in order whenever its retries become due', async () => {
  await using test = await createTestBus({});
  const seen: string[] = [];
  const paused = Promise.withResolvers<void>();
  const subscription = await test.bus.subscribe(
    't',
    async (messages) => {
      for (const message of messages) {
        seen.push(`${message.key} ${message.data}`);
        if (message.key === 'other' || message.attempt > 1) continue;
        await message.nack({ delay: message.data === 1 ? 100 : 200 });
      }
      await paused.promise;
    },
    { order: 'block', ack: { batch: 2, maxWait: 10 } },
  );
  for (const n of [1, 2]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(50);
  await test.bus.publish('t', 3, { key: 'other' });
  await test.clock.advance(20);
  await subscription.pause();
  paused.resolve();
  await test.clock.advance(1_000);
  subscription.resume();
  await test.clock.advance(1_000);
  expect(seen.filter((one) => one.startsWith('k'))).toEqual(['k 1', 'k 2', 'k 1', 'k 2']);
});

it('loses no ephemeral message behind a failing durable one of its key', async () => {
  await using test = await createTestBus({ topics: { 'e.#': { durability: 'ephemeral' } } });
  const seen: string[] = [];
  await test.bus.subscribe(
    '#',
    async (message) => {
      seen.push(`${message.topic} ${message.attempt}`);
      await new Promise<void>((resolve) => void test.clock.setTimeout(resolve, 20));
      if (message.topic === 'd.x') throw new Error('no');
    },
    {
      group: 'g',
      order: 'block',
      prefetch: 4,
      retry: { initialDelay: 100, maxRetries: 1 },
      deadLetter: false,
    },
  );
  await test.bus.publish('d.x', 1, { key: 'k' });
  await test.clock.settle();
  await test.bus.publish('e.x', 1, { key: 'k' });
  await test.clock.advance(5_000);
  expect(seen.toSorted()).toEqual(['d.x 1', 'd.x 2', 'e.x 1']);
});

it('does not handle a nacked message again beside the handler that goes on', async () => {
  await using test = await createTestBus({ topics: { t: { durability: 'ephemeral' } } });
  let running = 0;
  const seen: number[] = [];
  await test.bus.subscribe(
    't',
    async (message) => {
      seen.push(++running);
      if (message.data === 1 && message.attempt === 1) await message.nack({ delay: 0 });
      await new Promise<void>((resolve) => void test.clock.setTimeout(resolve, 100));
      running--;
    },
    { group: 'g', order: 'block', concurrency: 4 },
  );
  for (const n of [1, 2]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(5_000);
  expect(seen).toEqual([1, 1, 1]);
});

it('handles nothing that was still being read when its subscription ended', async () => {
  const [isRead, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const serializer = reading(async (data) => {
    isRead.resolve();
    await gate.promise;
    return data;
  });
  await using test = await createTestBus({ serializer });
  const seen: string[] = [];
  const subscribe = (name: string) =>
    test.bus.subscribe('t', ({ attempt }) => void seen.push(`${name} ${attempt}`), { group: 'g' });
  const first = await subscribe('first');
  await test.bus.publish('t', 1);
  await isRead.promise;
  const left = first.unsubscribe();
  await test.clock.settle();
  await left;
  gate.resolve();
  await test.clock.settle();
  expect(seen).toEqual([]);
  await subscribe('second');
  await test.clock.advance(10);
  expect(seen).toEqual(['second 1']);
});

it('starts nothing on a lease that is lost already', async () => {
  await using test = await createTestBus({});
  const begun: string[] = [];
  await test.bus.subscribe(
    't',
    async ({ data, attempt }) => {
      begun.push(`${data} ${attempt}`);
      await new Promise<void>((resolve) => void test.clock.setTimeout(resolve, 90_000));
    },
    { group: 'g', concurrency: 4 },
  );
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(10);
  test.hub.disconnect();
  await test.clock.advance(61_000);
  test.hub.reconnect();
  await test.clock.advance(100);
  expect(begun).toEqual(['1 1', '1 2']);
});

it('keeps the order of a key in live batches over durable and ephemeral topics over a pause', async () => {
  await using test = await createTestBus({ topics: { 't.e': { durability: 'ephemeral' } } });
  const seen: string[] = [];
  const subscription = await test.bus.subscribe(
    't.*',
    async (messages) => {
      seen.push(...messages.map(({ data }) => data as string));
      if (seen.length > 2) return;
      await messages[0]!.nack({ delay: 50 });
      await messages[1]!.nack({ delay: 150 });
    },
    { order: 'block', ack: { batch: 3, maxWait: 300 } },
  );
  for (const data of ['A', 'B']) await test.bus.publish('t.d', data, { key: 'k' });
  await test.clock.advance(301);
  await test.bus.publish('t.e', 'E', { key: 'other' });
  await test.clock.advance(100);
  const paused = subscription.pause();
  await test.clock.settle();
  await paused;
  await test.clock.advance(100);
  subscription.resume();
  await test.clock.advance(1_000);
  expect(seen.filter((data) => data !== 'E')).toEqual(['A', 'B', 'A', 'B']);
});

it('keeps the order of a key whose messages the broker recalls while one waits for an outage', async () => {
  let isDown = true;
  const serializer = reading((data) => {
    if (isDown && data === 1) throw new ConnectionError('no registry', { retryable: true });
    return data;
  });
  const sinks: Sink[] = [];
  const given: Delivery[] = [];
  const broker = memory();
  const { subscribe } = broker;
  broker.subscribe = (source: Source, sink: Sink) => {
    sinks.push(sink);
    const tapped: Sink = Object.create(sink, {
      deliver: {
        value: (deliveries: readonly Delivery[]) => {
          given.push(...deliveries);
          sink.deliver(deliveries);
        },
      },
      lost: { value: (deliveries: readonly Delivery[]) => sink.lost(deliveries) },
    });
    return subscribe.call(broker, source, tapped);
  };
  await using bus = await createBus({ broker, logger: false, serializer });
  const seen: unknown[] = [];
  await bus.subscribe('t', ({ data }) => void seen.push(data), { group: 'g', concurrency: 4 });
  for (const n of [1, 2, 3]) await bus.publish('t', n, { key: 'k' });
  await expect.poll(() => given.length).toBe(3);
  isDown = false;
  sinks[0]!.recall!(given);
  await expect.poll(() => seen.length).toBe(3);
  expect(seen).toEqual([1, 2, 3]);
});
