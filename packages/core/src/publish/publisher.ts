import type { Broker } from '../broker.ts';
import type { Clock, Timer } from '../clock.ts';
import type { BusRecord } from '../envelope/record.ts';
import { asBusError, type BusError, PublishError, QueueFullError, TimeoutError } from '../errors.ts';

/** Most bytes of bodies that go to the broker in one call, so that a batch stays well below every protocol's frame limits. */
const BATCH_BYTES = 4 * 1024 * 1024;

interface Pending {
  readonly record: BusRecord;
  readonly resolve: () => void;
  readonly reject: (error: BusError) => void;
}

interface Batch {
  readonly entries: readonly Pending[];
  readonly deadline: number;
  settled: boolean;
}

/** Limits of a `Publisher`. */
export interface PublisherLimits {
  /** Records that may be unconfirmed at a time. */
  readonly maxPending: number;
  /** What a publish beyond that does. */
  readonly whenFull: 'wait' | 'fail';
  /** Milliseconds that a publish may take, waiting for room or for the connection included. */
  readonly publishTimeout: number;
}

/**
 * Collects what is published in one tick and hands it to the broker in as few calls as it takes, so that
 * `await Promise.all(many.map(publish))` costs a few round trips and a single publish none more than needed.
 */
export class Publisher {
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #limits: PublisherLimits;
  #queue: Pending[] = [];
  #scheduled = false;
  /** Records handed to `publish` and not yet confirmed or refused. */
  #unconfirmed = 0;
  #waiting: { readonly start: () => void; readonly deadline: number }[] = [];
  readonly #inFlight = new Set<Batch>();
  #timer: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor(broker: Broker, clock: Clock, limits: PublisherLimits) {
    this.#broker = broker;
    this.#clock = clock;
    this.#limits = limits;
  }

  get unconfirmed(): number {
    return this.#unconfirmed;
  }

  /** Resolves when the broker has accepted the record; rejects with a `BusError` otherwise. */
  publish(record: BusRecord): Promise<void> {
    if (this.#unconfirmed >= this.#limits.maxPending) return this.#publishWhenRoom(record);
    return new Promise((resolve, reject) => this.#enqueue({ record, resolve, reject }));
  }

  #publishWhenRoom(record: BusRecord): Promise<void> {
    const { maxPending, whenFull, publishTimeout } = this.#limits;
    if (whenFull === 'fail') {
      return Promise.reject(
        new QueueFullError(`${maxPending} messages are waiting to be accepted by the broker ("maxPending")`, {
          topic: record.topic,
          broker: this.#broker.name,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const waiter = {
        start: () => {
          this.#clock.clearTimeout(timer);
          this.#enqueue({ record, resolve, reject });
        },
        deadline: this.#clock.now() + publishTimeout,
      };
      const timer = this.#clock.setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(this.#timeout(record));
      }, publishTimeout);
      this.#waiting.push(waiter);
    });
  }

  #enqueue(entry: Pending): void {
    this.#unconfirmed++;
    this.#queue.push(entry);
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(this.#flush);
    }
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    const queue = this.#queue;
    this.#queue = [];
    const { maxBatch } = this.#broker.capabilities.limits;
    let start = 0;
    let bytes = 0;
    for (let end = 0; end < queue.length; end++) {
      bytes += queue[end]!.record.body.length;
      const next = queue[end + 1];
      if (
        next === undefined ||
        end + 1 - start === maxBatch ||
        bytes + next.record.body.length > BATCH_BYTES
      ) {
        this.#send(start === 0 && next === undefined ? queue : queue.slice(start, end + 1));
        start = end + 1;
        bytes = 0;
      }
    }
  };

  #send(entries: readonly Pending[]): void {
    const deadline = this.#clock.now() + this.#limits.publishTimeout;
    const batch: Batch = { entries, deadline, settled: false };
    this.#inFlight.add(batch);
    this.#timer ??= this.#clock.setTimeout(this.#expire, this.#limits.publishTimeout);
    const records = entries.length === 1 ? [entries[0]!.record] : entries.map((entry) => entry.record);
    this.#broker.publish(records, deadline).then(
      () => this.#settle(batch, undefined),
      (error: unknown) => this.#settle(batch, error),
    );
  }

  #settle(batch: Batch, error: unknown): void {
    if (batch.settled) return;
    batch.settled = true;
    this.#inFlight.delete(batch);
    if (this.#inFlight.size === 0) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#unconfirmed -= batch.entries.length;
    if (error === undefined) for (const entry of batch.entries) entry.resolve();
    else if (PublishError.is(error)) this.#reject(batch.entries, error);
    else for (const entry of batch.entries) entry.reject(this.#wrap(error, entry.record));
    while (this.#waiting.length > 0 && this.#unconfirmed < this.#limits.maxPending)
      this.#waiting.shift()!.start();
    if (this.#unconfirmed === 0) for (const done of this.#idle.splice(0)) done();
  }

  #reject(entries: readonly Pending[], error: PublishError): void {
    const failed = new Map(error.failures.map((failure) => [failure.index, failure.error]));
    entries.forEach((entry, index) => {
      const failure = failed.get(index);
      if (failure === undefined) entry.resolve();
      else entry.reject(failure);
    });
  }

  #wrap(error: unknown, record: BusRecord): BusError {
    return asBusError(error, { topic: record.topic, broker: this.#broker.name });
  }

  #timeout(record: BusRecord): TimeoutError {
    return new TimeoutError(
      `the broker did not accept a message for "${record.topic}" within ${this.#limits.publishTimeout} ms`,
      { topic: record.topic, broker: this.#broker.name },
    );
  }

  /** The broker answers by the deadline itself; this is for one that does not. */
  readonly #expire = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const batch of this.#inFlight) {
      if (batch.deadline > now) {
        this.#timer = this.#clock.setTimeout(this.#expire, batch.deadline - now);
        return;
      }
      this.#settle(batch, this.#timeout(batch.entries[0]!.record));
    }
  };

  /** Resolves when nothing is unconfirmed any more. */
  drained(): Promise<void> {
    if (this.#unconfirmed === 0 && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }
}
