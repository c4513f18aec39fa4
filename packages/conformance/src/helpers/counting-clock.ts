import { type Clock, systemClock, type Timer } from '@ambus/core';

/** The machine's clock, which knows how many of its timers are pending. */
export function countingClock(): Clock & { readonly pending: number } {
  const timers = new Set<Timer>();
  return {
    get pending() {
      return timers.size;
    },
    now: () => systemClock.now(),
    setTimeout(callback, delay) {
      const timer = systemClock.setTimeout(() => {
        timers.delete(timer);
        callback();
      }, delay);
      timers.add(timer);
      return timer;
    },
    clearTimeout(timer) {
      timers.delete(timer);
      systemClock.clearTimeout(timer);
    },
  };
}
