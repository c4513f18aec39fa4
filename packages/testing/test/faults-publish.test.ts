import { QueueFullError } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';
import { consuming, publish } from './support/consuming.ts';

it('refuses a publish with a retryable error, and takes all others', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.fail({ on: 'publish', nth: 2 });
  await expect(publish(test, 'a', 'b', 'c')).rejects.toMatchObject({
    code: 'PUBLISH',
    failures: [{ index: 1, error: { code: 'CONNECTION', retryable: true, topic: 'jobs' } }],
  });
  await test.clock.settle();
  expect(got).toEqual(['a#1', 'c#1']);
  await publish(test, 'd');
  expect(test.faults.counts.publish).toEqual({ seen: 4, fail: 1, drop: 0, delay: 0, duplicate: 0 });
});

it('refuses a publish with the error that it is given, wrapped where it is none of the bus', async () => {
  const { test } = await consuming();
  await using _ = test;
  const full = new QueueFullError('no room');
  test.faults.fail({ on: 'publish', nth: 1, error: full });
  await expect(test.bus.publish('jobs', 1)).rejects.toBe(full);
  test.faults.fail({ on: 'publish', nth: 1, error: new RangeError('odd') });
  await expect(test.bus.publish('jobs', 1)).rejects.toMatchObject({ code: 'CONNECTION', message: 'odd' });
});

it('joins its refusals with those of the broker, each at its place', async () => {
  await using test = await createTestBus({ memory: { maxQueueSize: 1, whenFull: 'fail' } });
  const paused = await test.bus.subscribe('jobs', () => {}, { group: 'g' });
  await paused.unsubscribe();
  test.faults.fail({ on: 'publish', nth: 1 });
  const error = await publish(test, 'a', 'b', 'c').catch((one: unknown) => one);
  expect(error).toMatchObject({
    failures: [
      { index: 0, error: { code: 'CONNECTION' } },
      { index: 2, error: { code: 'QUEUE_FULL' } },
    ],
  });
});

it('loses a publish that was accepted', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.drop({ on: 'publish', nth: [1, 3] });
  await publish(test, 'a', 'b', 'c', 'd');
  await test.clock.advance(1_000_000);
  expect(got).toEqual(['b#1', 'd#1']);
  expect(test.faults.counts.publish).toMatchObject({ seen: 4, drop: 2 });
});

it('delays a publish, and what is published behind it', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.delay({ on: 'publish', nth: 1, delay: 2_000 });
  const first = publish(test, 'a');
  await test.clock.settle();
  const second = publish(test, 'b');
  await test.clock.advance(1_999);
  expect(got).toEqual([]);
  await test.clock.advance(1);
  await Promise.all([first, second]);
  expect(got).toEqual(['a#1', 'b#1']);
});

it('sends nothing after the deadline of the publish', async () => {
  const { test, got } = await consuming({ publishTimeout: 1_000 });
  await using _ = test;
  test.faults.delay({ on: 'publish', delay: 5_000 });
  const late = expect(publish(test, 'a')).rejects.toMatchObject({
    failures: [{ error: { code: 'TIMEOUT' } }],
  });
  await test.clock.advance(10_000);
  await late;
  expect(got).toEqual([]);
});

it('publishes twice, which an idempotency key undoes', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.duplicate({ on: 'publish' });
  await publish(test, 'a');
  await test.bus.publish('jobs', 'b', { delivery: 'exactly-once', idempotencyKey: 'b' });
  await test.clock.settle();
  expect(got).toEqual(['a#1', 'a#1', 'b#1']);
});

it('lets a request run into its deadline when it is lost, and its answer as well', async () => {
  await using test = await createTestBus();
  let asked = 0;
  await test.bus.respond('ask', () => ++asked);
  for (const place of ['publish', 'delivery'] as const) {
    const fault = test.faults.drop({ on: place, nth: 1 });
    const outcome = expect(test.bus.request('ask')).rejects.toMatchObject({ code: 'TIMEOUT' });
    await test.clock.advance(5_000);
    await outcome;
    fault.remove();
  }
  // The lost reply: the second record that is published, after the request.
  test.faults.drop({ on: 'publish', when: (record) => record.channel === 'reply' });
  const outcome = expect(test.bus.request('ask')).rejects.toMatchObject({ code: 'TIMEOUT' });
  await test.clock.advance(5_000);
  await outcome;
  expect(asked).toBe(1);
});

it('answers a request once though its reply comes twice, and late where it is delayed', async () => {
  await using test = await createTestBus();
  await test.bus.respond('ask', () => 'answer');
  const isReply = (record: { channel: string }): boolean => record.channel === 'reply';
  test.faults.duplicate({ on: 'delivery', when: isReply, times: 1 });
  expect((await test.bus.request('ask')).data).toBe('answer');
  test.faults.delay({ on: 'delivery', when: isReply, delay: 4_000, nth: 1 });
  let data: unknown;
  const asked = test.bus.request('ask').then((reply) => {
    ({ data } = reply);
  });
  await test.clock.advance(3_999);
  expect(data).toBeUndefined();
  await test.clock.advance(1);
  await asked;
  expect(data).toBe('answer');
});
