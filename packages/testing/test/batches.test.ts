import { ConnectionError, type Message } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';
import { reading } from './support/serializer.ts';

const dataOf = (messages: readonly Message[]): unknown[] => messages.map(({ data }) => data);
const never = (): Promise<never> => new Promise(() => {});

it.each(['returns without "next"', 'throws'])(
  'frees the slot of a batch whose handler hangs, and of which middleware %s for a part',
  async (how) => {
    await using test = await createTestBus({
      middleware: [
        {
          async consume(message, next) {
            if (message.data === 'passed over' && how === 'throws') throw new Error('no');
            if (message.data !== 'passed over') await next(message);
          },
        },
      ],
    });
    let hangs = true;
    const done: unknown[] = [];
    const subscription = await test.bus.subscribe(
      't',
      async (messages: readonly Message[]) => {
        if (hangs) {
          hangs = false;
          await never();
        }
        done.push(...dataOf(messages));
      },
      { group: 'g', handlerTimeout: 1_000, retry: { initialDelay: 10 }, ack: { batch: 2, maxWait: 10 } },
    );
    for (const data of ['passed over', 'hangs', 'next']) await test.bus.publish('t', data);
    await test.clock.advance(30_000);
    expect(done).toContain('hangs');
    expect(done).toContain('next');
    expect(subscription.running).toBe(0);
  },
);

it('frees the slot of a batch whose middleware hangs for a message that is put back', async () => {
  let runs = 0;
  await using test = await createTestBus({
    middleware: [
      {
        async consume(message, next) {
          if (runs++ < 2) {
            if (message.data === 1) throw new Error('no');
            await never();
          }
          await next(message);
        },
      },
    ],
  });
  const seen: unknown[] = [];
  const subscription = await test.bus.subscribe('t', (messages) => void seen.push(...dataOf(messages)), {
    group: 'g',
    order: 'block',
    handlerTimeout: 1_000,
    retry: { initialDelay: 10 },
    ack: { batch: 2, maxWait: 10 },
  });
  for (const n of [1, 2]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(60_000);
  expect(seen).toEqual([1, 2]);
  expect(subscription.running).toBe(0);
});

it('hands no message to its handler whose middleware has failed meanwhile', async () => {
  let slow = 1;
  await using test = await createTestBus({
    middleware: [
      {
        async consume(message, next) {
          if (message.data === 2 && slow-- > 0) await wait(500);
          const limit = wait(100).then(() => Promise.reject(new Error('too slow')));
          await Promise.race([next(message), limit]);
        },
      },
    ],
  });
  const wait = (time: number): Promise<void> =>
    new Promise((resolve) => void test.clock.setTimeout(resolve, time));
  const [running, overlaps]: [Set<unknown>, unknown[]] = [new Set(), []];
  await test.bus.subscribe(
    't',
    async (messages: readonly Message[]) => {
      for (const data of dataOf(messages)) running.has(data) ? overlaps.push(data) : running.add(data);
      await wait(80);
      for (const data of dataOf(messages)) running.delete(data);
    },
    { group: 'g', concurrency: 2, retry: { delays: [410], jitter: 0 }, ack: { batch: 2, maxWait: 10 } },
  );
  for (const n of [1, 2]) await test.bus.publish('t', n);
  await test.clock.advance(20_000);
  expect(overlaps).toEqual([]);
  expect(test.bus.stats()).toMatchObject({ acked: 2, deadLettered: 0 });
});

it('holds back what stands behind a message that middleware nacks where the order is to block', async () => {
  let nacks = 1;
  await using test = await createTestBus({
    middleware: [
      {
        async consume(message, next) {
          if (message.data === 1 && nacks-- > 0) await message.nack({ delay: 100 });
          else await next(message);
        },
      },
    ],
  });
  const seen: unknown[] = [];
  await test.bus.subscribe('t', (messages) => void seen.push(...dataOf(messages)), {
    group: 'g',
    order: 'block',
    ack: { batch: 3, maxWait: 10 },
  });
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(5_000);
  expect(seen).toEqual([1, 2, 3]);
});

it('keeps the order of a key that is read, and waits for an outage, over a pause', async () => {
  const gate = Promise.withResolvers<void>();
  let fails = 1;
  const serializer = reading(async (data) => {
    if (data === 3 && fails-- > 0) throw new ConnectionError('no registry', { retryable: true });
    await gate.promise;
    return data;
  });
  await using test = await createTestBus({ serializer });
  const seen: unknown[] = [];
  const subscription = await test.bus.subscribe('t', (messages) => void seen.push(...dataOf(messages)), {
    group: 'g',
    ack: { batch: 3, maxWait: 10 },
  });
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(20);
  await subscription.pause();
  gate.resolve();
  await test.clock.settle();
  subscription.resume();
  await test.clock.advance(5_000);
  expect(seen).toEqual([1, 2, 3]);
});

it('counts a batch once when an outage at its first message puts others back', async () => {
  let fails = 1;
  const serializer = reading((data) => {
    if (data === 1 && fails-- > 0) throw new ConnectionError('no registry', { retryable: true });
    return data;
  });
  await using test = await createTestBus({ serializer });
  const gate = Promise.withResolvers<void>();
  const running: number[] = [];
  const subscription = await test.bus.subscribe(
    't',
    async () => {
      running.push(subscription.running);
      await gate.promise;
    },
    { group: 'g', ack: { batch: 3, maxWait: 100 } },
  );
  await test.bus.publish('t', 1, { key: 'k' });
  await test.bus.publish('t', 2, { key: 'k', ttl: 1 });
  await test.clock.advance(5);
  await test.bus.publish('t', 3, { key: 'other' });
  await test.clock.advance(500);
  await test.bus.publish('t', 4);
  await test.clock.advance(500);
  expect(running).toEqual([1]);
  gate.resolve();
  await test.clock.advance(5_000);
  expect(test.bus.stats()).toMatchObject({ expired: 1, leasesLost: 0, running: 0 });
});

it.each(['middleware', 'filter'])('opens the circuit breaker of a batch when its %s fails', async (place) => {
  const fail = (): never => {
    throw new Error('dependency down');
  };
  const middleware = place === 'middleware' ? [{ consume: async () => fail() }] : [];
  await using test = await createTestBus({ middleware });
  let opened = 0;
  test.bus.on('circuit_breaker.opened', () => opened++);
  await test.bus.subscribe('t', (_: readonly Message[]) => {}, {
    group: 'g',
    filter: place === 'filter' ? fail : undefined,
    circuitBreaker: { failureThreshold: 2, recoveryTimeout: 3_600_000 },
    retry: { initialDelay: 10, maxRetries: 2 },
    ack: { batch: 2, maxWait: 10 },
  });
  for (let n = 0; n < 20; n++) await test.bus.publish('t', n);
  await test.clock.advance(5_000);
  expect(opened).toBe(1);
  expect(test.bus.stats().deadLettered).toBe(0);
});
