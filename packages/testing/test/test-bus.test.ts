import { type Bus, type Message, sleep } from '@ambus/core';
import { MemoryHub } from '@ambus/memory';
import { expect, it } from 'vitest';
import { createTestBus, type TestBus, VirtualClock } from '../src/index.ts';

it('is a connected bus in memory, on a hub and a clock of its own', async () => {
  await using test = await createTestBus();
  await using other = await createTestBus();
  const got: unknown[] = [];
  await test.bus.subscribe('a', (message) => void got.push(message.data));
  await other.bus.publish('a', 'elsewhere');
  await test.bus.publish('a', 'here');
  await test.clock.settle();
  expect(got).toEqual(['here']);
  expect(test.bus.broker).toBe('memory');
  expect(test.hub).not.toBe(other.hub);
  expect(test.broker.hub).toBe(test.hub);
  expect(test.hub.clock).toBe(test.clock);
  expect(test.hub.records('a')).toHaveLength(1);
});

it('retries for 30 seconds and more in no time', async () => {
  const retry = { maxRetries: 5, initialDelay: 1_000, factor: 2, jitter: 0, maxDelay: 60_000 };
  await using test = await createTestBus({ retry });
  const { bus, clock } = test;
  const start = clock.now();
  const seconds: number[] = [];
  await bus.subscribe(
    'jobs',
    (message) => {
      seconds.push((clock.now() - start) / 1_000);
      if (message.attempt <= 5) throw new Error('not yet');
    },
    { group: 'workers' },
  );
  await bus.publish('jobs', {});
  const began = performance.now();
  await clock.advance(30_999);
  expect(seconds).toEqual([0, 1, 3, 7, 15]);
  await clock.advance(1);
  expect(performance.now() - began).toBeLessThan(500);
  expect(seconds).toEqual([0, 1, 3, 7, 15, 31]);
  expect(bus.stats()).toMatchObject({ acked: 1, retried: 5, deadLettered: 0 });
});

it('has dead letters at hand when the last retry is over', async () => {
  await using test = await createTestBus({ retry: { delays: [1_000, 5_000, 15_000] } });
  const { bus, clock } = test;
  const fail = (): void => {
    throw new Error('never');
  };
  await bus.subscribe('jobs', fail, { group: 'workers' });
  await bus.publish('jobs', { id: 1 });
  await clock.advance(20_999);
  expect((await bus.deadLetters.list()).items).toHaveLength(0);
  await clock.advance(1);
  const { items } = await bus.deadLetters.list();
  expect(items).toMatchObject([{ reason: 'retries-exhausted', attempts: 4, data: { id: 1 } }]);
  expect(items[0]!.time.getTime()).toBe(clock.now());
});

it('delivers a delayed message when its time has come', async () => {
  await using test = await createTestBus();
  const { bus, clock } = test;
  const got: unknown[] = [];
  await bus.subscribe('reminders', (message) => void got.push(message.data), { group: 'g' });
  await bus.publish('reminders', 'in a day', { delay: 86_400_000 });
  await bus.publish('reminders', 'at a time', { deliverAt: new Date(clock.now() + 3_600_000) });
  await clock.advance(3_599_999);
  expect(got).toEqual([]);
  await clock.advance(1);
  expect(got).toEqual(['at a time']);
  await clock.advance(86_400_000 - 3_600_000);
  expect(got).toEqual(['at a time', 'in a day']);
});

it('lets a message expire', async () => {
  await using test = await createTestBus();
  const { bus, clock } = test;
  const handled: unknown[] = [];
  const expired: string[] = [];
  bus.on('message.expired', ({ id }) => expired.push(id));
  const subscription = await bus.subscribe('jobs', (message) => void handled.push(message.data), {
    group: 'g',
  });
  await subscription.unsubscribe();
  const { id } = await bus.publish('jobs', 'short-lived', { ttl: 60_000 });
  await bus.publish('jobs', 'long-lived', { ttl: 60_001 });
  await clock.advance(60_000);
  await bus.subscribe('jobs', (message) => void handled.push(message.data), { group: 'g' });
  await clock.settle();
  expect(handled).toEqual(['long-lived']);
  expect(expired).toEqual([id]);
});

it('lets a circuit breaker recover', async () => {
  await using test = await createTestBus({ retry: { maxRetries: 10, delays: [0] } });
  const { bus, clock } = test;
  let broken = true;
  let calls = 0;
  const states: string[] = [];
  for (const name of ['opened', 'half_opened', 'closed'] as const) {
    bus.on(`circuit_breaker.${name}`, () => states.push(name));
  }
  await bus.subscribe(
    'calls',
    () => {
      calls++;
      if (broken) throw new Error('the dependency is down');
    },
    { group: 'g', circuitBreaker: { failureThreshold: 3, recoveryTimeout: 30_000, halfOpenRequests: 2 } },
  );
  await bus.publishMany([1, 2, 3, 4, 5].map((data) => ({ topic: 'calls', data })));
  await clock.advance(29_999);
  expect(states).toEqual(['opened']);
  expect(calls).toBe(3);
  await clock.advance(1);
  expect(states).toEqual(['opened', 'half_opened', 'opened']);
  expect(calls).toBe(4);
  broken = false;
  await clock.advance(30_000);
  expect(states).toEqual(['opened', 'half_opened', 'opened', 'half_opened', 'closed']);
  expect(bus.stats().acked).toBe(5);
});

it('lets a request run out of time', async () => {
  await using test = await createTestBus();
  const { bus, clock } = test;
  await bus.respond('slow', () => sleep(clock, 20_000));
  let outcome: unknown;
  const asked = bus.request('slow', {}, { timeout: 5_000 }).catch((error: unknown) => {
    outcome = error;
  });
  await clock.advance(4_999);
  expect(outcome).toBeUndefined();
  await clock.advance(1);
  await asked;
  expect(outcome).toMatchObject({ code: 'TIMEOUT', message: 'no answer on "slow" within 5000 ms' });
});

it('lets a handler run out of time', async () => {
  await using test = await createTestBus({ retry: { delays: [10_000] } });
  const { bus, clock } = test;
  const aborted: unknown[] = [];
  await bus.subscribe(
    'jobs',
    (message) => {
      if (message.attempt > 1) return;
      message.signal.addEventListener('abort', () => aborted.push(message.signal.reason));
      return new Promise(() => {});
    },
    { group: 'g', handlerTimeout: 300_000 },
  );
  await bus.publish('jobs', {});
  await clock.advance(299_999);
  expect(aborted).toEqual([]);
  await clock.advance(1);
  expect(aborted).toMatchObject([{ code: 'TIMEOUT' }]);
  expect(bus.stats()).toMatchObject({ failed: 1, acked: 0 });
  await clock.advance(10_000);
  expect(bus.stats()).toMatchObject({ failed: 1, acked: 1 });
});

it('has handled a long backlog when the clock has settled', async () => {
  await using test = await createTestBus();
  const { bus, clock } = test;
  let handled = 0;
  await bus.subscribe('jobs', () => void handled++, { group: 'g', prefetch: 5 });
  await bus.publishMany(Array.from({ length: 2_000 }, (_, data) => ({ topic: 'jobs', data })));
  await clock.settle();
  expect(handled).toBe(2_000);
  expect(bus.stats().acked).toBe(2_000);
});

it('has scanned long dead letters when the clock has settled', async () => {
  await using test = await createTestBus({ retry: { maxRetries: 0 } });
  const { bus, clock } = test;
  const fail = (): void => {
    throw new Error('never');
  };
  await bus.subscribe('jobs', fail, { group: 'g', prefetch: 1_000 });
  await bus.publishMany(Array.from({ length: 2_000 }, (_, data) => ({ topic: 'jobs', data })));
  await clock.settle();
  const discarded = bus.deadLetters.discard({ topic: 'jobs' });
  let count = 0;
  void discarded.then((number) => {
    count = number;
  });
  await clock.settle();
  expect(count).toBe(2_000);
});

it('makes further buses on the same hub and clock', async () => {
  await using test = await createTestBus({ source: 'shop' });
  const billing = await test.createBus({ source: 'billing' });
  await billing.respond('invoice', (request) => ({ for: request.source, at: test.clock.now() }));
  const { data, source } = await test.bus.request('invoice');
  expect(data).toEqual({ for: 'shop', at: test.clock.now() });
  expect(source).toBe('billing');
});

it('takes a hub of the test with all that is on it', async () => {
  const clock = new VirtualClock();
  const hub = new MemoryHub({ clock });
  await using first = await createTestBus({ hub });
  await using second = await createTestBus({ hub, clock });
  expect(first.clock).toBe(clock);
  const got: unknown[] = [];
  await first.bus.subscribe('a', (message) => void got.push(message.data));
  await second.bus.publish('a', 1);
  await clock.settle();
  expect(got).toEqual([1]);
});

it('hands a crashed bus its messages to another after the lease', async () => {
  await using test = await createTestBus({ memory: { lease: 20_000 } });
  const { hub, clock } = test;
  const [survivor] = hub.server.peers;
  const doomed = await test.createBus();
  const attempts: number[] = [];
  await doomed.subscribe('jobs', () => sleep(clock, 40_000), { group: 'g' });
  await test.bus.publish('jobs', {});
  await clock.settle();
  await test.bus.subscribe('jobs', (message) => void attempts.push(message.attempt), { group: 'g' });
  for (const { busId } of hub.server.peers) if (busId !== survivor!.busId) hub.crash(busId);
  await clock.advance(19_999);
  expect(attempts).toEqual([]);
  await clock.advance(1);
  expect(attempts).toEqual([2]);
});

it('closes every bus, and moves the clock for a handler that waits for it', async () => {
  const test = await createTestBus();
  const other = await test.createBus();
  const { clock } = test;
  const ended: string[] = [];
  const work = (name: string, bus: Bus) => async (): Promise<void> => {
    await sleep(clock, 20_000);
    await bus.publish('done', name);
    ended.push(name);
  };
  await test.bus.subscribe('a', work('first', test.bus), { group: 'g' });
  await other.subscribe('a', work('second', other), { group: 'h' });
  await test.bus.publish('a', 1);
  await clock.settle();
  const began = performance.now();
  await test.close();
  expect(performance.now() - began).toBeLessThan(1_000);
  expect(ended.sort()).toEqual(['first', 'second']);
  await expect(test.bus.publish('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  await expect(other.publish('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  expect(clock.pending).toBe(0);
});

it('closes although a handler never ends', async () => {
  const test = await createTestBus({ closeTimeout: 5_000 });
  await test.bus.subscribe('a', () => new Promise(() => {}), { group: 'g' });
  await test.bus.publish('a', 1);
  await test.clock.settle();
  await test.close();
});

const real = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

it('lets a handler that does real work end, and the clock stand still', async () => {
  const test = await createTestBus();
  const start = test.clock.now();
  const ended: unknown[] = [];
  const work = async ({ signal }: Message): Promise<void> => {
    await real(300);
    ended.push(signal.aborted);
  };
  await test.bus.subscribe('a', work, { group: 'g', handlerTimeout: 10_000 });
  await test.bus.publish('a', 1);
  await test.clock.settle();
  await test.close();
  expect(ended).toEqual([false]);
  expect(test.clock.now()).toBe(start);
});

it('closes soon when a handler waits for the clock after it has done real work', async () => {
  const test = await createTestBus();
  let ended = false;
  const work = async (): Promise<void> => {
    await real(150);
    await sleep(test.clock, 20_000);
    ended = true;
  };
  await test.bus.subscribe('a', work, { group: 'g' });
  await test.bus.publish('a', 1);
  await test.clock.settle();
  const began = performance.now();
  await test.close();
  expect(performance.now() - began).toBeLessThan(1_500);
  expect(ended).toBe(true);
});

it.each([
  ['an ack is delayed', (test: TestBus) => test.faults.delay({ on: 'ack', delay: 3_000 })],
  ['the connection is cut', (test: TestBus) => test.hub.disconnect()],
])('closes soon when %s and no handler runs', async (_, hinder) => {
  const test = await createTestBus();
  await test.bus.subscribe('a', () => hinder(test), { group: 'g' });
  await test.bus.publish('a', 1);
  await test.clock.settle();
  const began = performance.now();
  await test.close();
  expect(performance.now() - began).toBeLessThan(1_000);
});

it.each([
  [{ broker: 'redis' }, /"broker" does not exist: every bus of a test is on its hub and clock/],
  [{ url: 'memory://x' }, /"url" does not exist/],
  [{ clock: { now: Date.now } }, /"clock" must be a VirtualClock, not an object/],
  [{ hub: 'name' }, /"hub" must be a MemoryHub, not "name"/],
  [{ hub: new MemoryHub() }, /"hub" must run on a VirtualClock/],
  [
    { hub: new MemoryHub({ clock: new VirtualClock() }), clock: new VirtualClock() },
    /"clock" must be the clock of the "hub"/,
  ],
  [{ memory: { latency: -1 } }, /latency/],
  [{ faults: [{ on: 'publish' }] }, /"faults" must be an array in which each is a valid fault rule/],
  [{ seed: -1 }, /"seed" must be a whole number/],
  [{ retries: 3 }, /bus option "retries" does not exist/],
])('refuses the options %o', async (options, message) => {
  await expect(createTestBus(options as any)).rejects.toMatchObject({ code: 'CONFIG', message });
});

it('refuses to take another bus out of the test', async () => {
  await using test = await createTestBus();
  await expect(test.createBus({ broker: 'redis' } as any)).rejects.toMatchObject({ code: 'CONFIG' });
});
