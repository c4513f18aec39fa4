import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { memory } from '../../../memory/src/index.ts';
import { type Bus, createBus, defineTopics, ValidationError } from '../../src/index.ts';

interface Order {
  id: number;
}

describe('typed topics', () => {
  it('type payloads both ways, by topic and by pattern', async () => {
    await using bus = await createBus<{
      'orders.created': Order;
      'orders.paid': { sum: string };
      'agents.*.status': 'up';
    }>({
      broker: memory({ hub: 'typed-1' }),
    });
    await bus.subscribe('orders.created', (message) => expectTypeOf(message.data).toEqualTypeOf<Order>());
    await bus.subscribe('orders.*', (message) =>
      expectTypeOf(message.data).toEqualTypeOf<Order | { sum: string }>(),
    );
    await bus.subscribe('agents.a1.status', (message) => expectTypeOf(message.data).toEqualTypeOf<'up'>());
    await bus.publish('orders.created', { id: 1 });
    await bus.publish('agents.a1.status', 'up');
    // @ts-expect-error: an order has an id
    await bus.publish('orders.created', { sum: 'x' });
  });

  it('hand out any where nothing is declared', async () => {
    await using bus = await createBus({ broker: memory({ hub: 'typed-2' }) });
    await bus.subscribe('anything', (message) => expectTypeOf(message.data).toBeAny());
    await bus.subscribe<Order>('anything', (message) => expectTypeOf(message.data).toEqualTypeOf<Order>());
  });

  it.each([
    ['zod', z.object({ at: z.string().transform((text) => new Date(text)) })],
    [
      'valibot',
      v.object({
        at: v.pipe(
          v.string(),
          v.transform((text) => new Date(text)),
        ),
      }),
    ],
    ['arktype', type({ at: type('string').pipe((text) => new Date(text)) })],
  ])('validate at both ends with %s: the input is sent, the output arrives', async (name, schema) => {
    const topics = defineTopics({ 'meetings.set': { schema } });
    await using bus = await createBus({ broker: memory({ hub: `typed-${name}` }), topics });
    const got: unknown[] = [];
    await bus.subscribe('meetings.*', (message) => void got.push(message.data), { group: 'g' });
    await bus.publish('meetings.set', { at: '2030-01-02T03:04:05.000Z' });
    await expect.poll(() => got).toEqual([{ at: new Date('2030-01-02T03:04:05.000Z') }]);

    const failure = await bus.publish('meetings.set', { at: 7 } as never).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ValidationError);
    expect((failure as ValidationError).issues[0]?.path).toEqual(['at']);
    expect(bus.stats().published).toBe(1);
  });

  it('know the types that schemas say', async () => {
    const topics = defineTopics({
      'meetings.set': { schema: z.object({ at: z.string().transform((text) => new Date(text)) }) },
    });
    await using bus = await createBus({ broker: memory({ hub: 'typed-3' }), topics });
    await bus.subscribe('meetings.set', (message) =>
      expectTypeOf(message.data).toEqualTypeOf<{ at: Date }>(),
    );
    expectTypeOf(bus.publish<'meetings.set'>)
      .parameter(1)
      .toEqualTypeOf<{ at: string }>();
  });

  it('send what a schema refuses on arrival to the dead letters', async () => {
    const hub = 'typed-4';
    await using loose = await createBus({ broker: memory({ hub }) });
    await using strict = await createBus({
      broker: memory({ hub }),
      topics: { 'meetings.set': { schema: z.object({ at: z.string() }) } },
      logger: false,
    });
    await strict.subscribe('meetings.set', () => {}, { group: 'g' });
    await loose.publish('meetings.set', { at: 7 });
    await expect
      .poll(async () => (await strict.deadLetters.list()).items)
      .toMatchObject([{ reason: 'undecodable', data: { at: 7 }, error: { name: 'ValidationError' } }]);
  });
});

it('a function that takes a bus takes every bus', async () => {
  const nameOf = (bus: Bus): string => bus.broker;
  await using typed = await createBus<{ 'orders.created': Order }>({ broker: memory() });
  await using declared = await createBus({ broker: memory(), topics: { 'orders.#': { ttl: 1_000 } } });
  await using open = await createBus({ broker: memory() });
  expect([nameOf(typed), nameOf(declared), nameOf(open)]).toEqual(['memory', 'memory', 'memory']);
});

it('topics that options do not name stay open and untyped', async () => {
  await using bus = await createBus({
    broker: memory({ hub: 'typed-5' }),
    topics: { 'live.#': { durability: 'ephemeral' } },
  });
  await bus.publish('jobs', 2);
  await bus.subscribe('jobs', (message) => expectTypeOf(message.data).toBeAny());
});
