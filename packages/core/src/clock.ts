/** Handle of a timer; what is in it belongs to its clock. */
export type Timer = unknown;

/**
 * Where the bus takes its time from. Every delay, deadline and lease goes through one of these, so a test can replace
 * it by a clock that it advances by hand (`@ambus/testing`).
 */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once, not before `delay` milliseconds have passed. A pending timer does not keep the process alive. */
  setTimeout(callback: () => void, delay: number): Timer;
  /** Forgets a timer; forgetting one that fired, or `undefined`, is harmless. */
  clearTimeout(timer: Timer | undefined): void;
}

/** Node fires a longer timer at once (its delay is a signed 32-bit number), so longer ones are chained. */
const LONGEST_TIMER = 2 ** 31 - 1;

interface SystemTimer {
  handle: NodeJS.Timeout;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout(callback, delay) {
    const timer = {} as SystemTimer;
    const arm = (left: number): void => {
      const wait = Math.min(Math.max(left, 0), LONGEST_TIMER);
      timer.handle = setTimeout(() => (left > wait ? arm(left - wait) : callback()), wait);
      timer.handle.unref();
    };
    arm(delay);
    return timer;
  },
  clearTimeout(timer) {
    if (timer !== undefined) clearTimeout((timer as SystemTimer).handle);
  },
};

/** Resolves after `delay` milliseconds of `clock`. */
export function sleep(clock: Clock, delay: number): Promise<void> {
  return new Promise((resolve) => clock.setTimeout(resolve, delay));
}

/** Waits for `work`, but for `delay` milliseconds at most, and leaves no timer behind. */
export async function atMost(clock: Clock, work: Promise<unknown>, delay: number): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = clock.setTimeout(timeout.resolve, delay);
  try {
    await Promise.race([work, timeout.promise]);
  } finally {
    clock.clearTimeout(timer);
  }
}
