import { setTimeout } from 'node:timers/promises';
import type { Bus } from '@ambus/core';
import type { VirtualClock } from '../clock/virtual-clock.ts';
import type { BusClock } from './bus-clock.ts';

/** Milliseconds of real time that handlers get for what is not in virtual time, before that moves although they do not wait for it. */
const HANDLERS = 2_000;
/** … and that everything else of a bus gets: compression, for example. */
const OTHERS = 100;
const POLL = 10;

/** Closes all at once. A handler that waits for the clock would otherwise wait for ever, and the test with it. */
export async function closeAll(
  buses: readonly Bus[],
  clock: VirtualClock,
  busClock: BusClock,
): Promise<void> {
  let open = true;
  busClock.closing = true;
  const closed = Promise.allSettled(buses.map((bus) => bus.close())).then((results) => {
    open = false;
    return results;
  });
  const began = performance.now();
  const hasTime = (): boolean => {
    const grace = buses.some((bus) => bus.stats().running > 0) ? HANDLERS : OTHERS;
    return performance.now() - began < grace;
  };
  await clock.settle();
  do {
    while (open && !busClock.isAwaited && hasTime()) await Promise.race([closed, setTimeout(POLL)]);
  } while (open && (await clock.advanceToNext()));
  for (const result of await closed) {
    if (result.status === 'rejected') throw result.reason;
  }
}
