import { readFile } from 'node:fs/promises';
import { sleep } from '@ambus/core';
import { expect, it, vi } from 'vitest';
import { VirtualClock } from '../src/index.ts';

const START = new Date('2030-01-01T00:00:00Z');

/** A clock, and a list that its timers write to. */
function setUp(): { clock: VirtualClock; log: string[]; at: (delay: number, name: string) => unknown } {
  const clock = new VirtualClock({ start: START });
  const log: string[] = [];
  const at = (delay: number, name: string): unknown =>
    clock.setTimeout(() => log.push(`${name} at ${clock.now() - START.getTime()}`), delay);
  return { clock, log, at };
}

it('starts now, or at the time it is given, and stands still', async () => {
  const before = Date.now();
  const clock = new VirtualClock();
  expect(clock.now()).toBeGreaterThanOrEqual(before);
  expect(clock.now()).toBeLessThanOrEqual(Date.now());
  const other = new VirtualClock({ start: START });
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(other.now()).toBe(START.getTime());
});

it('fires timers in the order of their times, those of one time in the order they were set', async () => {
  const { clock, log, at } = setUp();
  at(30, 'c');
  at(10, 'a');
  at(30, 'd');
  at(20, 'b');
  at(31, 'late');
  expect(clock.pending).toBe(5);
  await clock.advance(30);
  expect(log).toEqual(['a at 10', 'b at 20', 'c at 30', 'd at 30']);
  expect(clock.pending).toBe(1);
  expect(clock.now()).toBe(START.getTime() + 30);
});

it('fires a timer only when it is due, over several steps', async () => {
  const { clock, log, at } = setUp();
  at(100, 'a');
  await clock.advance(99);
  expect(log).toEqual([]);
  await clock.advance(1);
  expect(log).toEqual(['a at 100']);
});

it('fires timers that timers set, at their own times', async () => {
  const { clock, log, at } = setUp();
  clock.setTimeout(() => at(10, 'inner'), 5);
  at(15, 'outer');
  await clock.advance(15);
  expect(log).toEqual(['outer at 15', 'inner at 15']);
});

it('fires a timer of no or of negative delay without time passing', async () => {
  const { clock, log, at } = setUp();
  at(0, 'zero');
  at(-5, 'negative');
  await clock.advance(0);
  expect(log).toEqual(['zero at 0', 'negative at 0']);
});

it('forgets a cleared timer; clearing twice, one that fired, or nothing is harmless', async () => {
  const { clock, log, at } = setUp();
  const timer = at(10, 'cleared');
  const fired = at(5, 'fired');
  clock.clearTimeout(timer);
  clock.clearTimeout(timer);
  clock.clearTimeout(undefined);
  await clock.advance(20);
  clock.clearTimeout(fired);
  expect(log).toEqual(['fired at 5']);
  expect(clock.pending).toBe(0);
});

it('lets promises, microtasks, immediates and file accesses settle between timers', async () => {
  const { clock, log, at } = setUp();
  const chain = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    for (let file = 0; file < 20; file++) await readFile(import.meta.filename);
    log.push(`chain at ${clock.now() - START.getTime()}`);
  };
  clock.setTimeout(() => void chain(), 10);
  at(11, 'next');
  await clock.advance(11);
  expect(log).toEqual(['chain at 10', 'next at 11']);
});

it('lets a loop of waits run to its end in one step', async () => {
  const { clock } = setUp();
  let rounds = 0;
  const loop = (async () => {
    for (; rounds < 100; rounds++) await sleep(clock, 1_000);
  })();
  await clock.advance(100_000);
  await loop;
  expect(rounds).toBe(100);
});

it('settles without moving', async () => {
  const { clock, log, at } = setUp();
  at(1, 'later');
  at(0, 'due');
  setImmediate(() => queueMicrotask(() => setImmediate(() => log.push('settled'))));
  await clock.settle();
  expect(log).toEqual(['settled', 'due at 0']);
  expect(clock.now()).toBe(START.getTime());
});

it('moves to the next timer, and says when there is none', async () => {
  const { clock, log, at } = setUp();
  at(30, 'b');
  at(10, 'a');
  expect(await clock.advanceToNext()).toBe(true);
  expect(log).toEqual(['a at 10']);
  expect(await clock.advanceToNext()).toBe(true);
  expect(await clock.advanceToNext()).toBe(false);
  expect(clock.now()).toBe(START.getTime() + 30);
});

it('runs calls one after the other', async () => {
  const { clock, log, at } = setUp();
  at(10, 'a');
  await Promise.all([clock.advance(10), clock.advance(10), clock.settle()]);
  expect(log).toEqual(['a at 10']);
  expect(clock.now()).toBe(START.getTime() + 20);
});

it('rests beside another clock that moves at the same time', async () => {
  const clocks = [setUp(), setUp(), setUp()];
  for (const { at } of clocks) at(10, 'a');
  await Promise.all(clocks.map(({ clock }) => clock.advance(10)));
  for (const { log } of clocks) expect(log).toEqual(['a at 10']);
});

it('waits for the immediates that others set beside another clock that moves at the same time', async () => {
  const { clock, log } = setUp();
  const other = setUp();
  const chain = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    log.push('chain');
  };
  void chain();
  await Promise.all([clock.settle(), other.clock.settle()]);
  expect(log).toEqual(['chain']);
});

it('gives up when something goes on for ever without time passing, or with a timer that sets the next', async () => {
  const clock = new VirtualClock({ patience: 50 });
  let on = true;
  const spin = (): void => void (on && setImmediate(spin));
  spin();
  await expect(clock.settle()).rejects.toThrow(/50 ms of real time/);
  on = false;
  const again = (): unknown => clock.setTimeout(again, 0);
  again();
  await expect(clock.advance(1)).rejects.toMatchObject({ code: 'TIMEOUT', message: /each sets the next/ });
});

it('rejects with the error of a timer, and goes on with the next call', async () => {
  const { clock, log, at } = setUp();
  clock.setTimeout(() => {
    throw new RangeError('in a timer');
  }, 1);
  at(2, 'next');
  await expect(clock.advance(5)).rejects.toThrow(RangeError);
  await clock.advance(5);
  expect(log).toEqual(['next at 2']);
});

it('works beside the fake timers of a test runner', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'Date'] });
  try {
    const { clock, log, at } = setUp();
    at(10, 'a');
    await clock.advance(10);
    expect(log).toEqual(['a at 10']);
  } finally {
    vi.useRealTimers();
  }
});

it.each([
  [{ start: 5 }, /"start" must be a valid Date/],
  [{ patience: 0 }, /"patience" must be a whole number of milliseconds/],
  [{ speed: 2 }, /"speed" does not exist; there are start, patience/],
])('refuses the options %o', (options, message) => {
  expect(() => new VirtualClock(options as any)).toThrow(message);
});

it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '5'])('refuses to advance by %s', async (time) => {
  const clock = new VirtualClock();
  await expect(clock.advance(time as any)).rejects.toThrow(/the time to advance by must be/);
});
