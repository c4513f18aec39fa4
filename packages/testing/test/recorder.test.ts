import type { TopicRules } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus, recorder } from '../src/index.ts';

interface Order {
  readonly id: number;
  readonly customer: { readonly name: string; readonly tags: readonly string[] };
}

const order = (id: number, name = 'Ada'): Order => ({ id, customer: { name, tags: ['new', 'eu'] } });

/** What a promise is rejected with. */
async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => new TypeError('it was not rejected'),
    (error: Error) => error,
  );
}

it('resolves to a message that was recorded, or that is still to come', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('orders.created', order(1));
  expect(await recorded.expect('orders.created')).toMatchObject({ topic: 'orders.created', data: order(1) });
  const coming = recorded.expect<Order>('orders.*', { id: 2 });
  await test.bus.publish('orders.created', order(2));
  expect((await coming).data.id).toBe(2);
});

it.each<[string, unknown]>([
  ['a field', { id: 2 }],
  ['a nested field', { customer: { name: 'Bob' } }],
  ['a whole array', { customer: { tags: ['new', 'eu'] }, id: 2 }],
  ['the whole data', order(2, 'Bob')],
  ['a function', (message: any) => message.data.id === 2 && message.attempt === 1],
  [
    "a test runner's matcher",
    expect.objectContaining({ customer: expect.objectContaining({ name: 'Bob' }) }),
  ],
  ["a test runner's matcher inside", { id: 2, customer: { name: expect.stringMatching(/^B/) } }],
])('finds a message by %s', async (_, match) => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('orders.created', order(1));
  await test.bus.publish('orders.created', order(2, 'Bob'));
  expect((await recorded.expect('orders.#', match as object)).data).toEqual(order(2, 'Bob'));
});

it.each<[string, unknown]>([
  ['another value', { id: 3 }],
  ['a field that is not there', { price: 5 }],
  ['a shorter array', { customer: { tags: ['new'] } }],
  ['another type', 'orders'],
  ['null', null],
])('does not find a message by %s', async (_, match) => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('orders.created', order(1));
  await expect(recorded.expect('orders.#', match as object, { timeout: 10 })).rejects.toThrow(/^expected a/);
});

it.each([[null], [0], [''], [false], ['text'], [[1, 2]]])('finds %j by being equal', async (data) => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('values', data);
  expect((await recorded.expect('values', data)).data).toEqual(data);
});

it('resolves to as many messages as are asked for, the first ones first', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  const three = recorded.expect('n.*', undefined, { count: 3 });
  for (const n of [1, 2, 3, 4]) await test.bus.publish('n.a', n);
  expect((await three).map(({ data }) => data)).toEqual([1, 2, 3]);
  expect(await recorded.expect('n.*', 4, { count: 1 })).toHaveLength(1);
});

it('says what came instead, the right topics first', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('users.created', { name: 'Ada' });
  await test.bus.publish('orders.created', order(1));
  const error = await failure(recorded.expect('orders.*', { id: 2 }, { timeout: 20 }));
  expect(error.name).toBe('AssertionError');
  expect(error.message).toBe(
    'expected a message on "orders.*" matching { id: 2 } within 20 ms; recorded: \n' +
      "  orders.created { id: 1, customer: { name: 'Ada', tags: [ 'new', 'eu' ] } }\n" +
      "  users.created { name: 'Ada' }",
  );
  expect(error.stack).toContain('recorder.test.ts');
});

it('says how many came, that nothing did, and does not list a hundred', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  expect((await failure(recorded.expect('a', undefined, { timeout: 5 }))).message).toBe(
    'expected a message on "a" within 5 ms; recorded: nothing',
  );
  for (let n = 1; n <= 12; n++) await test.bus.publish('a', n);
  const { message } = await failure(recorded.expect('a', () => true, { count: 20, timeout: 5 }));
  expect(message).toMatch(
    /^expected 20 messages on "a" for which the function returns true within 5 ms and 12 came/,
  );
  expect(message).toMatch(/a 10\n {2}… and 2 more$/);
});

it('expects that nothing comes', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('orders.created', order(1));
  await recorded.expectNone('users.#');
  await recorded.expectNone('orders.#', { id: 2 });
  await expect(recorded.expectNone('orders.#', { id: 1 })).rejects.toThrow(
    /expected no message on "orders.#" matching { id: 1 }; came: \n {2}orders.created/,
  );
  const none = failure(recorded.expectNone('late', undefined, { timeout: 5_000 }));
  await test.bus.publish('late', 1);
  expect((await none).message).toBe('expected no message on "late"; came: \n  late 1');
});

it('lists what it recorded, and forgets it', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('a.x', 1);
  await test.bus.publish('b.x', 2);
  await test.clock.settle();
  expect(recorded.messages().map(({ data }) => data)).toEqual([1, 2]);
  expect(recorded.messages('a.*').map(({ data }) => data)).toEqual([1]);
  recorded.clear();
  expect(recorded.messages()).toEqual([]);
  await test.bus.publish('a.x', 3);
  expect((await recorded.expect('a.x')).data).toBe(3);
});

it('records only its pattern, and says so when asked for something else', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus, 'orders.#');
  await test.bus.publish('users.created', 1);
  await test.bus.publish('orders.created', 2);
  await recorded.expect('#', 2);
  expect(recorded.messages()).toHaveLength(1);
  await expect(recorded.expect('users.*')).rejects.toThrow(
    '"users.*" is never recorded: the recorder listens to "orders.#"',
  );
});

it('records what other buses publish, ephemeral topics, and dead letters', async () => {
  const topics: TopicRules = { 'live.#': { durability: 'ephemeral' } };
  await using test = await createTestBus({ topics });
  const other = await test.createBus({ topics });
  const recorded = await recorder(test.bus);
  const fail = (): void => {
    throw new Error('no');
  };
  await other.subscribe('jobs', fail, { group: 'g', retry: false });
  await other.publish('live.x', 1);
  await other.publish('jobs', 2);
  await recorded.expect('live.*', 1);
  const dead = await recorded.expect('dead-letters', (message) => message.failure?.topic === 'jobs');
  expect(dead.data).toBe(2);
});

it('is no party to what it records: a broken message goes to nobody because of it', async () => {
  await using test = await createTestBus();
  await using recorded = await recorder(test.bus);
  const body = new TextEncoder().encode('{broken');
  test.hub.publish({ topic: 'a', body, contentType: 'application/json' });
  await test.bus.publish('a', 'fine');
  await recorded.expect('a', 'fine');
  expect((await test.bus.deadLetters.list()).items).toEqual([]);
});

it('stops when it is closed, and keeps what it has', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await test.bus.publish('a', 1);
  await recorded.expect('a');
  await recorded.close();
  await test.bus.publish('a', 2);
  await test.clock.settle();
  expect(recorded.messages()).toHaveLength(1);
});

it('refuses what it does not know', async () => {
  await using test = await createTestBus();
  const recorded = await recorder(test.bus);
  await expect(recorder({} as any)).rejects.toThrow(/the bus must be a bus/);
  await expect(recorder(test.bus, 'a..b')).rejects.toMatchObject({ code: 'VALIDATION' });
  await expect(recorded.expect('a', 1, { within: 5 } as any)).rejects.toThrow(
    /expect option "within" does not exist; there are count, timeout/,
  );
  await expect(recorded.expect('a', 1, { count: 0 })).rejects.toThrow(/"count" must be a whole number/);
  await expect(recorded.expectNone('a', 1, { timeout: -1 })).rejects.toThrow(/"timeout" must be/);
  await expect(recorded.expect('a.')).rejects.toThrow(/the pattern must be valid/);
  expect(() => recorded.messages('a..b')).toThrow(/the pattern must be valid/);
  const broken = recorded.expect('a', () => {
    throw new RangeError('in the match');
  });
  await test.bus.publish('a', 1);
  await expect(broken).rejects.toThrow(RangeError);
});
