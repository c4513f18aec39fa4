import type { Delivery } from '../broker.ts';
import type { Clock, Timer } from '../clock.ts';
import type { IncomingMessage } from '../subscribe/message.ts';

/** A message that waits in this process for another try. */
export interface Waiting {
  readonly message: IncomingMessage;
  /** The one that it waits for. */
  readonly attempt: number;
  /** Its key stays taken: for its successor. */
  readonly keepsLane: boolean;
}

/** What waits in this process for another try, with its lease: because the broker cannot hold it, or must not count it. */
export class WaitingRoom {
  readonly #clock: Clock;
  readonly #waiting = new Map<Delivery, Waiting & { readonly timer: Timer }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `due` after `delay` milliseconds, unless it is forgotten before. */
  add(waiting: Waiting, delay: number, due: () => void): void {
    const { loan } = waiting.message;
    const timer = this.#clock.setTimeout(() => {
      this.#waiting.delete(loan);
      due();
    }, delay);
    this.#waiting.set(loan, { ...waiting, timer });
  }

  /** Takes one out; undefined where it does not wait. */
  forget(loan: Delivery): Waiting | undefined {
    const waiting = this.#waiting.get(loan);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(loan);
    this.#clock.clearTimeout(waiting.timer);
    return waiting;
  }

  /** Takes out those of one key. */
  takeKey(key: string | undefined): Waiting[] {
    return key === undefined ? [] : this.#take(({ message }) => message.record.key === key);
  }

  /** Takes out those that no handler has seen; of `only`, where it is given. */
  takeUntouched(only?: ReadonlySet<Delivery>): Waiting[] {
    return this.#take(
      ({ message, attempt }) => attempt === message.loan.attempt && (only?.has(message.loan) ?? true),
    );
  }

  #take(which: (waiting: Waiting) => boolean): Waiting[] {
    const taken = [...this.#waiting.values()].filter(which);
    for (const { message } of taken) this.forget(message.loan);
    return taken;
  }

  /** Takes all out; returns those that no handler has seen. */
  clear(): Delivery[] {
    const untouched: Delivery[] = [];
    for (const [loan, { attempt, timer }] of this.#waiting) {
      this.#clock.clearTimeout(timer);
      if (attempt === loan.attempt) untouched.push(loan);
    }
    this.#waiting.clear();
    return untouched;
  }
}
