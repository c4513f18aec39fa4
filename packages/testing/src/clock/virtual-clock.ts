import { type Clock, check, TimeoutError, type Timer } from '@ambus/core';
import { settle } from './settle.ts';
import { TimerList, type VirtualTimer } from './timer-list.ts';

/** Options of a `VirtualClock`. */
export interface VirtualClockOptions {
  /** What `now()` says at first. Default: the real time, so that code which uses `Date.now()` is not far off. */
  readonly start?: Date | undefined;
  /**
   * Milliseconds of real time that one call of `advance` or `settle` may take before it gives up, because something goes
   * on for ever. Default 5,000.
   */
  readonly patience?: number | undefined;
}

const SPEC: check.Spec<VirtualClockOptions> = { start: check.date, patience: check.milliseconds(1) };
const DEFAULT_PATIENCE = 5_000;

const duration: check.Check = (value) =>
  value === Number.POSITIVE_INFINITY
    ? 'finite: an endless one would never come to its end'
    : check.number(0, Number.MAX_SAFE_INTEGER)(value);

/**
 * A clock that stands still until it is told to move. Everything in a bus that takes time goes through its clock, so a
 * test of a retry after 30 seconds takes as long as its handler.
 *
 * What does not go through the clock takes real time all the same: network, worker threads, compression.
 */
export class VirtualClock implements Clock {
  readonly #timers = new TimerList();
  readonly #patience: number;
  #now: number;
  #set = 0;
  #activity = 0;
  #moving: Promise<unknown> = Promise.resolve();

  /** @throws {ValidationError} naming the option, its value and what is allowed */
  constructor(options: VirtualClockOptions = {}) {
    check.checkOptions('virtual clock option', options, SPEC);
    this.#now = options.start?.getTime() ?? Date.now();
    this.#patience = options.patience ?? DEFAULT_PATIENCE;
  }

  /** Milliseconds since the epoch, in virtual time. */
  now(): number {
    this.#activity++;
    return this.#now;
  }

  setTimeout(callback: () => void, delay: number): Timer {
    this.#activity++;
    const timer: VirtualTimer = { due: this.#now + Math.max(0, delay), order: this.#set++, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#activity++;
    if (timer !== undefined) this.#timers.remove(timer as VirtualTimer);
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** @internal Those that have not fired, the next one first. */
  get timers(): readonly VirtualTimer[] {
    return this.#timers.all;
  }

  /**
   * Moves time on. Timers fire in order, each at its own time, and all that follows from one
   * without time passing has happened before the next one fires, and before this resolves.
   *
   * Calls run one after the other.
   *
   * @throws {ValidationError} when `milliseconds` is negative, endless or no number
   * @throws {TimeoutError} when that never comes to an end: a message that is requeued at once for ever, for example
   */
  async advance(milliseconds: number): Promise<void> {
    check.checkArgument('the time to advance by', milliseconds, duration);
    await this.#exclusive(() => this.#moveTo(this.#now + milliseconds));
  }

  /**
   * Moves to the next timer, and fires all that are due then.
   *
   * @returns false when there is none
   */
  advanceToNext(): Promise<boolean> {
    return this.#exclusive(async () => {
      await this.#settle();
      const { next } = this.#timers;
      if (next === undefined || next.due === Number.POSITIVE_INFINITY) return false;
      await this.#moveTo(Math.max(next.due, this.#now));
      return true;
    });
  }

  /** Lets everything happen that needs no time to pass: the same as `advance(0)`. */
  settle(): Promise<void> {
    return this.advance(0);
  }

  #settle(): Promise<void> {
    return settle(() => this.#activity, this.#patience);
  }

  async #moveTo(end: number): Promise<void> {
    const giveUpAt = performance.now() + this.#patience;
    await this.#settle();
    for (let { next } = this.#timers; next !== undefined && next.due <= end; { next } = this.#timers) {
      if (performance.now() > giveUpAt) {
        throw new TimeoutError(
          `the virtual clock was advanced for ${this.#patience} ms of real time and did not arrive: ` +
            `${this.pending} timers are pending, and each sets the next`,
        );
      }
      this.#timers.remove(next);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
      await this.#settle();
    }
    this.#now = end;
  }

  #exclusive<T>(move: () => Promise<T>): Promise<T> {
    const moved = this.#moving.then(move);
    this.#moving = moved.catch(() => {});
    return moved;
  }
}
