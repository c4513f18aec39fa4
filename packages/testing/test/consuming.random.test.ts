import { ConnectionError, type Message, type Middleware } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus, type TestBusOptions } from '../src/index.ts';
import { reading } from './support/serializer.ts';

/** Runs that `AMBUS_SEEDS=1-5000` takes the place of. */
const SEEDS = '1-150';
const MESSAGES = 30;
const KEYS = ['a', 'b', 'c'];

/** Mulberry32: the same seed, the same story. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One story of a group or a live subscription in which all kinds of things go wrong; resolves to what broke a promise. */
async function story(seed: number): Promise<string[]> {
  const random = randomOf(seed);
  const chance = (share: number): boolean => random() < share;
  const below = (limit: number): number => Math.floor(random() * limit);
  const batch = chance(0.6) ? { batch: 1 + below(5), maxWait: 10 } : undefined;
  const isLive = chance(0.3);
  const [blocks, hasTwo, hangs, isCut, leaves] = [0.7, 0.3, 0.4, 0.4, 0.3].map(chance);
  const members = hasTwo && !isLive ? 2 : 1;
  // What is acked before it is handled is in nobody's way.
  const atMostOnce = members === 1 && chance(0.15);
  /** Somebody else may have what a handler still works at. */
  const isStolen = hangs || (isCut && !isLive) || (leaves && !isLive) || atMostOnce;

  let isCalm = false;
  const goesWrong = (share: number): boolean => !isCalm && chance(share);
  const sleep = (time: number): Promise<void> =>
    new Promise((resolve) => void test.clock.setTimeout(resolve, time));
  const serializer = reading(async (data) => {
    if (goesWrong(0.6)) await sleep(below(30));
    if (goesWrong(0.08)) throw new ConnectionError('no registry', { retryable: true });
    return data;
  });
  const middleware: Middleware = {
    async consume(message, next) {
      if (hangs && goesWrong(0.03)) await new Promise(() => {});
      if (goesWrong(0.3)) await sleep(below(40));
      if (goesWrong(0.1)) throw new Error('middleware fails');
      await next(message);
      if (goesWrong(0.1)) await sleep(below(20));
    },
  };
  const options: TestBusOptions = {
    serializer,
    closeTimeout: 500,
    middleware: chance(0.5) ? [middleware] : [],
  };
  await using test = await createTestBus(options);
  const buses = [test.bus];
  if (members === 2) buses.push(await test.createBus(options));

  const problems: string[] = [];
  const done: number[] = [];
  const running = new Map<string, number>();
  const handle = async (given: Message<number> | readonly Message<number>[]): Promise<void> => {
    const messages = [given].flat();
    const keys = new Set(messages.flatMap(({ key }) => key ?? []));
    for (const key of keys) {
      if ((running.get(key) ?? 0) > 0 && !isStolen) problems.push(`two at a time of key ${key}`);
      running.set(key, (running.get(key) ?? 0) + 1);
    }
    const stuck = hangs && goesWrong(0.06);
    if (!stuck && goesWrong(0.7)) await sleep(below(60));
    for (const key of keys) running.set(key, running.get(key)! - 1);
    if (stuck) await new Promise(() => {});
    if (goesWrong(0.15)) throw new Error('handler fails');
    done.push(...messages.map(({ data }) => data));
  };
  const subscribing = {
    group: isLive ? undefined : 'g',
    concurrency: 1 + below(3),
    prefetch: 5 + below(30),
    order: blocks ? ('block' as const) : ('skip' as const),
    ack: batch,
    handlerTimeout: 200,
    delivery: atMostOnce ? ('at-most-once' as const) : undefined,
    retry: { initialDelay: 10 + below(50), maxDelay: 200, maxRetries: 10_000, jitter: 0.5 },
    circuitBreaker: chance(0.3)
      ? { failureThreshold: 2, recoveryTimeout: 50, halfOpenRequests: 1 + below(2) }
      : undefined,
    filter: chance(0.4)
      ? () => {
          if (goesWrong(0.07)) throw new Error('filter fails');
          return true;
        }
      : undefined,
  };
  const subscribe = (bus: (typeof buses)[number]) =>
    bus.subscribe('t', handle as never, subscribing as never);
  const subscriptions = await Promise.all(buses.map(subscribe));

  const keyOf = new Map<number, string | undefined>();
  for (let n = 0; n < MESSAGES; n++) {
    const key = chance(0.85) ? KEYS[below(KEYS.length)] : undefined;
    keyOf.set(n, key);
    await test.bus.publish('t', n, { key });
    if (chance(0.5)) await test.clock.advance(below(25));
    const member = below(members);
    if (isCut && !isLive && chance(0.06)) {
      test.hub.disconnect();
      await test.clock.advance(chance(0.5) ? 100 : 60_000);
      test.hub.reconnect();
    }
    if (leaves && !isLive && chance(0.06)) {
      const left = subscriptions[member]!.unsubscribe();
      if (chance(0.5)) await test.clock.advance(2_000);
      subscriptions[member] = await subscribe(buses[member]!);
      await left;
    }
    if (chance(0.15)) {
      const paused = subscriptions[member]!.pause();
      await test.clock.advance(below(30));
      if (chance(0.5)) await test.clock.advance(below(1_500));
      subscriptions[member]!.resume();
      await test.clock.settle();
      await paused;
    }
  }
  await test.clock.advance(2_000);
  isCalm = true;
  await test.clock.advance(60_000);

  const missing = [...keyOf.keys()].filter((n) => !done.includes(n));
  if (missing.length > 0 && !atMostOnce) problems.push(`lost ${missing}`);
  for (const key of KEYS) {
    const ofKey = done.filter((n) => keyOf.get(n) === key);
    if (blocks && !isStolen && ofKey.some((n, at) => n < (ofKey[at - 1] ?? 0)))
      problems.push(`key ${key} was handled in the order ${ofKey}`);
  }
  for (const bus of buses) {
    const { running: runs, waiting } = bus.stats();
    if (runs > 0 || waiting > 0) problems.push(`${runs} run and ${waiting} wait at the end`);
  }
  if (!isLive) {
    const info = await test.bus.admin.group('t', 'g');
    if (info!.depth > 0 || info!.inFlight > 0) problems.push(`${info!.depth} are left in the group`);
  }
  return problems;
}

it('loses nothing, locks nothing and keeps the order of keys, whatever goes wrong at the same time', async () => {
  const [first, last] = (process.env.AMBUS_SEEDS ?? SEEDS).split('-').map(Number);
  const broken: string[] = [];
  for (let seed = first!; seed <= last!; seed++) {
    const problems = await story(seed);
    if (problems.length > 0) broken.push(`seed ${seed}: ${problems.join('; ')}`);
  }
  expect(broken).toEqual([]);
}, 600_000);
