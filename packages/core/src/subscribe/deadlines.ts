import type { Clock, Timer } from '../clock.ts';
import type { IncomingMessage } from './message.ts';

/**
 * Watches the deadlines of the messages that are being handled with one timer: a timer a message would cost more than
 * all the rest of its way. Also the list of what is being handled.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #expired: (message: IncomingMessage) => void;
  /** In the order of their start, so the first is the first to time out, but for those that were extended. */
  readonly #running = new Set<IncomingMessage>();
  #timer: Timer | undefined;

  /** @param timeout - milliseconds; may be `Infinity` */
  constructor(clock: Clock, timeout: number, expired: (message: IncomingMessage) => void) {
    this.#clock = clock;
    this.#timeout = timeout;
    this.#expired = expired;
  }

  get size(): number {
    return this.#running.size;
  }

  [Symbol.iterator](): IterableIterator<IncomingMessage> {
    return this.#running.values();
  }

  has(message: IncomingMessage): boolean {
    return this.#running.has(message);
  }

  start(message: IncomingMessage): void {
    message.startedAt = this.#clock.now();
    message.deadline = message.startedAt + this.#timeout;
    this.#running.add(message);
    if (this.#timer === undefined && this.#timeout !== Number.POSITIVE_INFINITY) {
      this.#timer = this.#clock.setTimeout(this.#check, this.#timeout);
    }
  }

  /** False when it was not watched any more. */
  end(message: IncomingMessage): boolean {
    return this.#running.delete(message);
  }

  /** Moves one message's deadline to `duration` milliseconds from now. */
  extend(message: IncomingMessage, duration: number): void {
    message.deadline = this.#clock.now() + duration;
    this.#arm();
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const message of [...this.#running]) {
      if (message.deadline <= now && this.#running.has(message)) this.#expired(message);
    }
    this.#arm();
  };

  #arm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    let next = Number.POSITIVE_INFINITY;
    for (const message of this.#running) next = Math.min(next, message.deadline);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.setTimeout(this.#check, Math.max(next - this.#clock.now(), 0));
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
