import { LeaseLostError } from '@ambus/core';
import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';
import { consuming, publish } from './support/consuming.ts';

const LEASE = 30_000;

it('brings a lost delivery again after the lease', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.drop({ on: 'delivery', nth: 1 });
  await publish(test, 'a', 'b');
  await test.clock.advance(LEASE - 1);
  expect(got).toEqual(['b#1']);
  await test.clock.advance(1);
  expect(got).toEqual(['b#1', 'a#2']);
  expect(test.bus.stats().acked).toBe(2);
});

it('loses a delivery for good where there is no group', async () => {
  await using test = await createTestBus();
  const got: unknown[] = [];
  await test.bus.subscribe('jobs', (message) => void got.push(message.data), { prefetch: 1 });
  test.faults.drop({ on: 'delivery', nth: 1 });
  test.faults.fail({ on: 'delivery', nth: 2 });
  await publish(test, 'a', 'b', 'c');
  await test.clock.advance(LEASE * 2);
  expect(got).toEqual(['c']);
});

it('takes the lease away from a running handler', async () => {
  await using test = await createTestBus();
  const got: string[] = [];
  const lost: unknown[] = [];
  test.bus.on('lease.lost', ({ reason, attempt }) => lost.push([reason, attempt]));
  test.faults.fail({ on: 'delivery', nth: 1 });
  await test.bus.subscribe(
    'jobs',
    async (message) => {
      got.push(`${message.data}#${message.attempt}`);
      if (message.attempt === 1) {
        const aborted = new Promise((resolve) => message.signal.addEventListener('abort', resolve));
        await Promise.race([aborted, test.clock.setTimeout(() => {}, 1)]);
      }
    },
    { group: 'g' },
  );
  await publish(test, 'a');
  await test.clock.settle();
  expect(got).toEqual(['a#1', 'a#2']);
  expect(lost).toContainEqual(['expired', 1]);
  expect(test.bus.stats().acked).toBe(1);
});

it('delays a delivery, and what comes behind it', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.delay({ on: 'delivery', nth: 2, delay: 700 });
  await publish(test, 'a', 'b', 'c');
  await test.clock.advance(699);
  expect(got).toEqual(['a#1']);
  await test.clock.advance(1);
  expect(got).toEqual(['a#1', 'b#1', 'c#1']);
});

it.each(['pause', 'unsubscribe'] as const)('gives a delayed delivery back at %s', async (leave) => {
  await using test = await createTestBus();
  const got: string[] = [];
  const subscribe = (name: string): ReturnType<typeof test.bus.subscribe> =>
    test.bus.subscribe('jobs', (message) => void got.push(`${name} ${message.data}#${message.attempt}`), {
      group: 'g',
    });
  const first = await subscribe('first');
  test.faults.delay({ on: 'delivery', delay: 5_000, nth: 1 });
  await publish(test, 'a', 'b');
  await test.clock.settle();
  await subscribe('second');
  await first[leave]();
  await test.clock.settle();
  expect(got).toEqual(['second a#1', 'second b#1']);
});

it('goes on after a pause, also where that has not ended yet', async () => {
  const { test, got, subscription } = await consuming();
  await using _ = test;
  test.faults.delay({ on: 'delivery', delay: 1_000, nth: 1 });
  await publish(test, 'a', 'b');
  await test.clock.settle();
  const paused = subscription.pause();
  subscription.resume();
  await paused;
  await publish(test, 'c');
  await test.clock.advance(1_000);
  expect(got).toEqual(['a#1', 'b#1', 'c#1']);
});

it('holds a delayed delivery while its subscription pauses where there is no group', async () => {
  await using test = await createTestBus();
  const got: unknown[] = [];
  const live = await test.bus.subscribe('jobs', (message) => void got.push(message.data));
  test.faults.delay({ on: 'delivery', delay: 1_000 });
  await publish(test, 'a', 'b');
  await test.clock.settle();
  await live.pause();
  await test.clock.advance(5_000);
  expect(got).toEqual([]);
  live.resume();
  await test.clock.settle();
  expect(got).toEqual(['a', 'b']);
});

it('delivers twice, and settles once', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.duplicate({ on: 'delivery', nth: 1 });
  await publish(test, 'a', 'b');
  await test.clock.advance(LEASE * 2);
  expect(got.sort()).toEqual(['a#1', 'a#1', 'b#1']);
  const [group] = await test.bus.admin.listGroups();
  expect(group).toMatchObject({ depth: 0, inFlight: 0 });
});

it('brings a message again whose ack is lost', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.drop({ on: 'ack', nth: 1 });
  await publish(test, 'a', 'b');
  await test.clock.advance(LEASE - 1);
  expect(got).toEqual(['a#1', 'b#1']);
  await test.clock.advance(1);
  expect(got).toEqual(['a#1', 'b#1', 'a#2']);
});

it('fails an ack, and the bus does not handle again what it has handled', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.fail({ on: 'ack', nth: 1 });
  await publish(test, 'a');
  await test.clock.advance(LEASE * 2);
  expect(got).toEqual(['a#1']);
  const [group] = await test.bus.admin.listGroups();
  expect(group).toMatchObject({ depth: 0, inFlight: 0 });
});

it('rejects the ack of a handler that waits for it', async () => {
  await using test = await createTestBus();
  const outcomes: unknown[] = [];
  test.faults.fail({ on: 'ack', nth: 1 });
  const handler = (message: { ack(): Promise<void> }): Promise<void> =>
    message.ack().catch((error: unknown) => void outcomes.push(error));
  await test.bus.subscribe('jobs', handler, { group: 'g', ack: 'manual' });
  await publish(test, 'a');
  await test.clock.settle();
  expect(outcomes).toMatchObject([{ code: 'CONNECTION', message: 'injected fault on ack' }]);
});

it('refuses an ack as if the lease were lost', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  const lost: string[] = [];
  test.bus.on('lease.lost', ({ reason }) => lost.push(reason));
  test.faults.fail({ on: 'ack', nth: 1, error: new LeaseLostError('gone') });
  await publish(test, 'a');
  await test.clock.settle();
  expect(got).toEqual(['a#1', 'a#2']);
  expect(lost).toEqual(['late']);
});

it('delays acks, for which closing waits', async () => {
  const { test } = await consuming();
  await using _ = test;
  test.faults.delay({ on: 'ack', delay: 3_000 });
  await publish(test, 'a');
  await test.clock.advance(2_999);
  expect(test.bus.stats()).toMatchObject({ handled: 1, acked: 0 });
  await test.clock.advance(1);
  expect(test.bus.stats().acked).toBe(1);
});

it('acks twice without harm', async () => {
  const { test, got } = await consuming();
  await using _ = test;
  test.faults.duplicate({ on: 'ack' });
  await publish(test, 'a', 'b');
  await test.clock.advance(LEASE * 2);
  expect(got).toEqual(['a#1', 'b#1']);
  expect(test.bus.stats()).toMatchObject({ acked: 2, leasesLost: 0 });
});

it.each([
  ['drop', LEASE],
  ['fail', LEASE],
  ['delay', 1_000 + 5_000],
  ['duplicate', 1_000],
] as const)('brings a message again whose nack meets the fault %s', async (fault, comesAfter) => {
  await using test = await createTestBus({ retry: { delays: [1_000] } });
  const times: number[] = [];
  const start = test.clock.now();
  await test.bus.subscribe(
    'jobs',
    (message) => {
      times.push(test.clock.now() - start);
      if (message.attempt === 1) throw new Error('again');
    },
    { group: 'g' },
  );
  test.faults.add(
    fault === 'delay' ? { fault, on: 'nack', nth: 1, delay: 5_000 } : { fault, on: 'nack', nth: 1 },
  );
  await publish(test, 'a');
  await test.clock.advance(LEASE * 3);
  expect(times).toEqual([0, comesAfter]);
  expect(test.bus.stats().acked).toBe(1);
});
