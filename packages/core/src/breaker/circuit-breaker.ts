import type { Clock, Timer } from '../clock.ts';
import { type Check, integer, milliseconds, options, type Spec } from '../config/check.ts';

/** When a failing dependency is left alone, and for how long. */
export interface CircuitBreakerOptions {
  /** Failures in a row that open it. Default 5. */
  readonly failureThreshold?: number | undefined;
  /** Milliseconds that it stays open before trials. Default 30,000. */
  readonly recoveryTimeout?: number | undefined;
  /** Trials that must all succeed to close it. Default 3. */
  readonly halfOpenRequests?: number | undefined;
}

const SPEC: Spec<CircuitBreakerOptions> = {
  failureThreshold: integer(1),
  recoveryTimeout: milliseconds(1),
  halfOpenRequests: integer(1),
};

/** A check for a `circuitBreaker` option. `false` switches off one that the bus has for all. */
export const circuitBreakerOption: Check = (value) => (value === false ? undefined : options(SPEC)(value));

/** `closed`: all goes on. `open`: nothing does. `half-open`: trials only. */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** What a breaker tells its owner. */
export interface BreakerHooks {
  opened(error: unknown): void;
  halfOpened(): void;
  closed(): void;
}

/** Counts failures and says when to stop, when to try, and when to go on. It starts and stops nothing itself. */
export class CircuitBreaker {
  readonly #threshold: number;
  readonly #recovery: number;
  readonly #trials: number;
  readonly #clock: Clock;
  readonly #hooks: BreakerHooks;
  #state: BreakerState = 'closed';
  #failures = 0;
  #succeeded = 0;
  #started = 0;
  #timer: Timer | undefined;

  constructor(options: CircuitBreakerOptions, clock: Clock, hooks: BreakerHooks) {
    this.#threshold = options.failureThreshold ?? 5;
    this.#recovery = options.recoveryTimeout ?? 30_000;
    this.#trials = options.halfOpenRequests ?? 3;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether one more may start now. While half-open each call that says yes takes one of the trials. */
  admit(): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'open' || this.#started >= this.#trials) return false;
    this.#started++;
    return true;
  }

  /** An admitted one ended without saying anything about the dependency: its trial is free again. */
  forget(): void {
    if (this.#state === 'half-open') this.#started--;
  }

  success(): void {
    this.#failures = 0;
    if (this.#state !== 'half-open' || ++this.#succeeded < this.#trials) return;
    this.#state = 'closed';
    this.#hooks.closed();
  }

  failure(error: unknown): void {
    if (this.#state === 'open') return;
    this.#failures++;
    if (this.#state === 'closed' && this.#failures < this.#threshold) return;
    this.#state = 'open';
    this.#timer = this.#clock.setTimeout(() => this.#tryAgain(), this.#recovery);
    this.#hooks.opened(error);
  }

  #tryAgain(): void {
    this.#state = 'half-open';
    this.#failures = 0;
    this.#started = 0;
    this.#succeeded = 0;
    this.#hooks.halfOpened();
  }

  /** Forgets the timer. */
  stop(): void {
    this.#clock.clearTimeout(this.#timer);
  }
}
