import { setTimeout } from 'node:timers/promises';
import type { Bus } from '@ambus/core';
import type { VirtualClock } from '../clock/virtual-clock.ts';

/** Milliseconds of real time that handlers get for what is not in virtual time, before their deadline is moved to. */
const GRACE = 100;

/** Closes all at once. A handler that waits for the clock would otherwise wait for ever, and the test with it. */
export async function closeAll(buses: readonly Bus[], clock: VirtualClock): Promise<void> {
  let open = true;
  const closed = Promise.allSettled(buses.map((bus) => bus.close())).then((results) => {
    open = false;
    return results;
  });
  await clock.settle();
  if (open) await Promise.race([closed, setTimeout(GRACE)]);
  while (open && (await clock.advanceToNext()));
  for (const result of await closed) {
    if (result.status === 'rejected') throw result.reason;
  }
}
