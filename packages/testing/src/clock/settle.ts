// Imported by name: a test runner's fake timers replace the global ones, and this must stay real.
import { setImmediate } from 'node:timers';
import { TimeoutError } from '@ambus/core';

/** Turns in a row in which nothing may happen: one may lie between the end of one promise chain and what it starts. */
const QUIET_TURNS = 3;

/** What keeps the process busy without time having to pass: the event loop's next turn, and files being read and closed. */
const BUSY = /^(Immediate|FSReq|CloseReq)/;

/** Everything that was put off to the end of this turn of the event loop has run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBusy(): boolean {
  return process.getActiveResourcesInfo().some((resource) => BUSY.test(resource));
}

/**
 * Resolves when all promises, microtasks, `setImmediate` callbacks and file accesses have come to rest.
 *
 * @param activity - a count that grows whenever the bus looks at its clock
 * @param patience - milliseconds of real time
 * @throws {TimeoutError} when they do not
 */
export async function settle(activity: () => number, patience: number): Promise<void> {
  const giveUpAt = performance.now() + patience;
  for (let quiet = 0; quiet < QUIET_TURNS; ) {
    const before = activity();
    await turn();
    quiet = activity() === before && !isBusy() ? quiet + 1 : 0;
    if (performance.now() > giveUpAt) {
      throw new TimeoutError(
        `the virtual clock waited ${patience} ms of real time for the process to come to rest: something goes on ` +
          'for ever without time passing, such as a message that is requeued at once',
      );
    }
  }
}
