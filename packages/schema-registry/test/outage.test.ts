import {
  ConnectionError,
  RemoteError,
  SerializationError,
  type Serializer,
  type SubscribeOptions,
} from '@ambus/core';
import { createTestBus } from '@ambus/testing';
import { expect, it } from 'vitest';

/** Reads JSON while `up`, and says otherwise that what it needs is out of reach. */
function needy(error = () => new ConnectionError('no registry', { retryable: true })) {
  const state = { up: false, tries: 0 };
  const serializer: Serializer = {
    contentType: 'application/x-needy',
    serialize: (data) => Buffer.from(JSON.stringify(data)),
    async deserialize(body) {
      state.tries++;
      if (!state.up) throw error();
      return JSON.parse(Buffer.from(body).toString());
    },
  };
  return { state, serializer };
}

const MINUTES = 10 * 60_000;

it.each<[string, SubscribeOptions]>([
  ['a group', { group: 'g', retry: { maxRetries: 1 } }],
  ['a group without retries', { group: 'g', retry: false }],
  ['a group that blocks', { group: 'g', retry: { maxRetries: 1, order: 'block' } }],
  ['a live subscription', {}],
])('a message waits out an outage, however long, and no attempt is counted: %s', async (_, options) => {
  const { state, serializer } = needy();
  await using test = await createTestBus({ serializer });
  const got: unknown[] = [];
  await test.bus.subscribe('t', (message) => void got.push([message.data, message.attempt]), options);
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(MINUTES);
  expect(got).toEqual([]);
  expect(state.tries).toBeGreaterThan(100);
  state.up = true;
  await test.clock.advance(2_000);
  expect(got).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect(test.bus.stats().deadLettered).toBe(0);
});

it('waits for refused credentials, too, which are no fault of the message', async () => {
  const { state, serializer } = needy(() => new ConnectionError('401', { retryable: false }));
  await using test = await createTestBus({ serializer });
  const got: unknown[] = [];
  await test.bus.subscribe('t', (message) => void got.push(message.data), { group: 'g' });
  await test.bus.publish('t', 1);
  await test.clock.advance(MINUTES);
  state.up = true;
  await test.clock.advance(2_000);
  expect(got).toEqual([1]);
});

it('goes on with what can be decoded meanwhile', async () => {
  const { serializer } = needy();
  await using test = await createTestBus({ serializers: [serializer] });
  const other = await test.createBus({ serializer });
  const got: unknown[] = [];
  await test.bus.subscribe('t', (message) => void got.push(message.data), { group: 'g', concurrency: 1 });
  await other.publish('t', 'waits');
  await test.bus.publish('t', 'goes on');
  await test.clock.settle();
  expect(got).toEqual(['goes on']);
});

it('keeps a batch together with what waits', async () => {
  const { state, serializer } = needy();
  await using test = await createTestBus({ serializer });
  const got: unknown[] = [];
  const options = { group: 'g', ack: { batch: 10, maxWait: 50 } } as const;
  await test.bus.subscribe(
    't',
    (messages) => void got.push(...messages.map(({ data }: any) => data)),
    options,
  );
  for (const n of [1, 2, 3]) await test.bus.publish('t', n, { key: 'k' });
  await test.clock.advance(MINUTES);
  state.up = true;
  await test.clock.advance(5_000);
  expect(got).toEqual([1, 2, 3]);
});

it('gives what waits back uncounted when the bus closes', async () => {
  const { state, serializer } = needy();
  await using test = await createTestBus({ serializer });
  const first = await test.createBus({ serializer });
  await first.subscribe('t', () => {}, { group: 'g' });
  await test.bus.publish('t', 1);
  await test.clock.advance(MINUTES);
  const closing = first.close();
  await test.clock.advance(10_000);
  await closing;
  state.up = true;
  const got: unknown[] = [];
  await test.bus.subscribe('t', (message) => void got.push([message.data, message.attempt]), { group: 'g' });
  await test.clock.advance(1_000);
  expect(got).toEqual([[1, 1]]);
});

it('opens a circuit breaker instead of trying on, and gives back what waits', async () => {
  const { state, serializer } = needy();
  await using test = await createTestBus({ serializer });
  const got: unknown[] = [];
  const circuitBreaker = { failureThreshold: 2, recoveryTimeout: 60_000 };
  await test.bus.subscribe('t', (message) => void got.push([message.data, message.attempt]), {
    group: 'g',
    circuitBreaker,
  });
  for (const n of [1, 2, 3]) await test.bus.publish('t', n);
  await test.clock.advance(MINUTES);
  expect(state.tries).toBeLessThan(50);
  state.up = true;
  await test.clock.advance(120_000);
  expect(got.sort()).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
});

it('does not hand a dead letter over without its data because of an outage', async () => {
  const { state, serializer } = needy();
  await using test = await createTestBus({ serializer, deadLetter: { topic: 'dead' } });
  const got: unknown[] = [];
  state.up = true;
  await test.bus.subscribe('dead', (message) => void got.push(message.data), { group: 'd' });
  const fail = () => {
    state.up = false;
    throw new Error('no');
  };
  await test.bus.subscribe('t', fail, { group: 'g', retry: false });
  await test.bus.publish('t', { id: 1 });
  await test.clock.advance(10_000);
  expect(test.bus.stats().deadLettered).toBe(1);
  expect(got).toEqual([]);
  state.up = true;
  await test.clock.advance(2_000);
  expect(got).toEqual([{ id: 1 }]);
});

it('answers a request that cannot be decoded, and one whose answer is an error, with that error', async () => {
  const { state, serializer } = needy();
  const strict: Serializer = {
    ...serializer,
    serialize(data, context) {
      // As one with schemas: it has no form for nothing.
      if (data === undefined) throw new SerializationError('payload is missing');
      return serializer.serialize(data, context);
    },
  };
  await using test = await createTestBus({ serializer: strict });
  await test.bus.respond('q', () => Promise.reject(new Error('broken')));
  const ask = async () => {
    const asked = test.bus.request('q', 1, { timeout: 5_000 }).catch((error: unknown) => error);
    await test.clock.advance(6_000);
    return asked;
  };
  for (const [up, text] of [
    [false, 'no registry'],
    [true, 'broken'],
  ] as const) {
    state.up = up;
    const error = await ask();
    expect(RemoteError.is(error)).toBe(true);
    expect((error as Error).message).toContain(text);
  }
});
