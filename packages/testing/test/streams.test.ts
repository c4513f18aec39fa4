import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';

it('leaves to others of the group what a loop does not ask for, and goes on when it asks again', async () => {
  await using test = await createTestBus({});
  const other = await test.createBus();
  const stream = test.bus.stream('t', { group: 'g' });
  const first = stream.next();
  await test.clock.advance(10);
  for (let n = 1; n <= 10; n++) await test.bus.publish('t', n);
  await test.clock.advance(10);
  expect((await first).value.data).toBe(1);
  const got: string[] = [];
  await other.subscribe('t', ({ data, attempt }) => void got.push(`${data} ${attempt}`), { group: 'g' });
  await test.clock.advance(3_600_000);
  // The loop has the first one, and has it still when its time is up.
  expect(got.toSorted()).toEqual(['1 2', '10 1', '2 1', '3 1', '4 1', '5 1', '6 1', '7 1', '8 1', '9 1']);
  const next = stream.next();
  for (let n = 11; n <= 20; n++) await test.bus.publish('t', n);
  await test.clock.advance(10);
  expect((await next).value.attempt).toBe(1);
  await stream.return!();
});

it('counts no attempt of a message that was there for a stream and not taken', async () => {
  await using test = await createTestBus({});
  const stream = test.bus.stream('t', { group: 'g', handlerTimeout: 1_000 });
  const first = stream.next();
  await test.clock.advance(10);
  for (const n of [1, 2]) await test.bus.publish('t', n);
  await test.clock.advance(1_500);
  expect((await first).value.data).toBe(1);
  await stream.return!();
  const got: string[] = [];
  await test.bus.subscribe('t', ({ data, attempt }) => void got.push(`${data} ${attempt}`), { group: 'g' });
  await test.clock.advance(5_000);
  expect(got.toSorted()).toEqual(['1 2', '2 1']);
});
