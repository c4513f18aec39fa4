// Imported by name: a test runner's fake timers replace the global ones, and this must stay real.
import { setImmediate } from 'node:timers';
import { TimeoutError } from '@ambus/core';

/** Turns in a row in which nothing may happen: one may lie between the end of one promise chain and what it starts. */
const QUIET_TURNS = 3;

/** Files that are being read and closed keep the process busy without time having to pass; so do others' immediates. */
const BUSY = /^(FSReq|CloseReq)/;

/** On the global object: the clocks of two copies of this package do not take each other's turns for business either. */
const TURNS = Symbol.for('ambus.testing.turns.1');
const shared = globalThis as { [TURNS]?: number };
shared[TURNS] ??= 0;

/** Everything that was put off to the end of this turn of the event loop has run. */
function turn(): Promise<void> {
  shared[TURNS]!++;
  return new Promise((resolve) => {
    setImmediate(() => {
      shared[TURNS]!--;
      resolve();
    });
  });
}

function isBusy(): boolean {
  const resources = process.getActiveResourcesInfo();
  const immediates = resources.filter((resource) => resource === 'Immediate').length;
  return immediates > shared[TURNS]! || resources.some((resource) => BUSY.test(resource));
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
