import type { Clock, Timer } from '@ambus/core';
import type { VirtualClock } from '../clock/virtual-clock.ts';

/** The clock that the buses of a test are given: it tells their own timers from those that a handler waits for. */
export class BusClock implements Clock {
  readonly #clock: VirtualClock;
  readonly #own = new Set<Timer>();
  /** Those that were set while the buses closed. */
  readonly #deadlines = new Set<Timer>();
  /** Whether the buses close. */
  closing = false;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Whether somebody else waits for a time that comes before the buses' patience with their handlers ends. */
  get isAwaited(): boolean {
    const timers = this.#clock.timers;
    const end = timers.find((timer) => this.#deadlines.has(timer))?.due ?? Number.POSITIVE_INFINITY;
    return timers.some((timer) => !this.#own.has(timer) && timer.due < end);
  }

  now(): number {
    return this.#clock.now();
  }

  setTimeout(callback: () => void, delay: number): Timer {
    const timer = this.#clock.setTimeout(() => {
      this.#forget(timer);
      callback();
    }, delay);
    this.#own.add(timer);
    if (this.closing) this.#deadlines.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#forget(timer);
    this.#clock.clearTimeout(timer);
  }

  #forget(timer: Timer | undefined): void {
    this.#own.delete(timer);
    this.#deadlines.delete(timer);
  }
}
