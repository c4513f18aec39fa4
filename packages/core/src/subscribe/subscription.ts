import type { Consumer } from './consumer.ts';

/** A running subscription. Disposed of (`await using`), it unsubscribes and waits for the handlers that still run. */
export interface Subscription extends AsyncDisposable {
  readonly pattern: string;
  readonly group: string | undefined;
  /** Handlers that run now. */
  readonly running: number;
  /** Messages in memory that wait for a handler. */
  readonly waiting: number;
  /**
   * Ends it. Resolves when no further handler will start and what was prefetched is given back; with no handler
   * running, also nothing is left of it on the server but its group. Handlers that are running then are not waited for
   * (one of them may be the caller): they end and settle behind it, and `bus.close()` waits for them. A group is
   * kept: see `bus.admin.deleteGroup`.
   */
  unsubscribe(): Promise<void>;
  /** No further handler starts. Resolves when what was prefetched is given back. */
  pause(): Promise<void>;
  /** Goes on. */
  resume(): void;
}

/** The public face of a consumer. */
export function toSubscription(consumer: Consumer, unsubscribe: () => Promise<void>): Subscription {
  return {
    pattern: consumer.plan.pattern,
    group: consumer.plan.group,
    get running() {
      return consumer.running;
    },
    get waiting() {
      return consumer.waiting;
    },
    unsubscribe,
    pause: () => consumer.pause(),
    resume: () => consumer.resume(),
    async [Symbol.asyncDispose]() {
      await unsubscribe();
      // Under way already: this is its end.
      await consumer.close(0);
    },
  };
}
