import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';
import { reading } from './support/serializer.ts';

it('keeps no place in a group for calls that do not come any more, but while something is unsettled', async () => {
  await using test = await createTestBus({});
  const pull = async (topic: string) => {
    const pulled = test.bus.receive(topic, { group: 'g', timeout: 100, handlerTimeout: 3_600_000 });
    await test.clock.advance(1_000);
    return pulled;
  };
  for (let n = 0; n < 20; n++) await pull(`inbox.${n}`);
  await test.bus.publish('inbox.0', 'one');
  const [message] = await pull('inbox.0');
  expect(test.bus.stats().subscriptions).toBe(20);

  await test.clock.advance(1_000_000);
  expect(test.bus.stats().subscriptions).toBe(1);
  await message!.ack();
  await test.clock.advance(1_000_000);
  expect(test.bus.stats().subscriptions).toBe(0);

  await test.bus.publish('inbox.0', 'two');
  const [next] = await pull('inbox.0');
  expect(next!.data).toBe('two');
  await next!.ack();
});

it('counts no attempt of what nobody waits for any more when it has been read', async () => {
  const gate = Promise.withResolvers<void>();
  const serializer = reading(async (data) => {
    await gate.promise;
    return data;
  });
  await using test = await createTestBus({ serializer });
  const { bus, clock } = test;
  await bus.admin.ensureGroup('t', 'g', 'new');
  for (const n of [1, 2]) await bus.publish('t', n);
  const controller = new AbortController();
  const options = { group: 'g', retry: false } as const;
  const [kept, left] = [
    bus.receive('t', options),
    bus.receive('t', { ...options, signal: controller.signal }),
  ];
  await clock.settle();
  controller.abort();
  await clock.settle();
  gate.resolve();
  await clock.settle();
  const [first] = await kept;
  await first!.ack();
  expect(await left).toEqual([]);
  const next = bus.receive('t', options);
  await clock.advance(1_000);
  const [second] = await next;
  expect([first!.data, second!.data, second!.attempt]).toEqual([1, 2, 1]);
  expect(bus.stats()).toMatchObject({ retried: 0, deadLettered: 0 });
});

it('gives a message of a stream its time from when it is taken', async () => {
  await using test = await createTestBus({});
  const stream = test.bus.stream('t', {
    group: 'g',
    retry: { initialDelay: 10, maxRetries: 0 },
    handlerTimeout: 1_000,
  });
  const first = stream.next();
  await test.clock.settle();
  for (const n of [1, 2]) await test.bus.publish('t', n);
  await test.clock.settle();
  expect((await first).value.data).toBe(1);
  await test.clock.advance(20_000);
  const { value } = await stream.next();
  expect([value.data, value.attempt, value.signal.aborted]).toEqual([2, 1, false]);
  await test.clock.advance(900);
  expect(value.signal.aborted).toBe(false);
  await test.clock.advance(200);
  expect(value.signal.aborted).toBe(true);
  await stream.return!();
});

it('reports a message that is handled at most once and that no call took', async () => {
  const serializer = reading(async (data) => {
    await new Promise<void>((resolve) => void test.clock.setTimeout(resolve, 500));
    return data;
  });
  await using test = await createTestBus({ serializer });
  let dropped = 0;
  test.bus.on('message.dropped', () => dropped++);
  await test.bus.admin.ensureGroup('t', 'g', 'new');
  await test.bus.publish('t', 1, { delivery: 'at-most-once' });
  const pulled = test.bus.receive('t', { group: 'g', timeout: 0 });
  await test.clock.advance(1_000);
  expect(await pulled).toEqual([]);
  expect(dropped).toBe(1);
  expect(test.bus.stats().handled).toBe(0);
});
