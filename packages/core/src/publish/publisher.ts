import type { Broker } from '../broker.ts';
import type { Clock, Timer } from '../clock.ts';
import type { BusRecord } from '../envelope/record.ts';
import { asBusError, type BusError, PublishError, QueueFullError, TimeoutError } from '../errors.ts';

/** Most bytes of bodies that go to the broker in one call, so that a batch stays well below every protocol's frame limits. */
const BATCH_BYTES = 4 * 1024 * 1024;

/** Records that go to the broker in one call. They share one promise: each publish only hangs its own end on it. */
interface Batch {
  readonly records: BusRecord[];
  readonly answered: PromiseWithResolvers<void>;
  bytes: number;
  deadline: number;
  settled: boolean;
  /** By index, once the broker has refused some. */
  failures: ReadonlyMap<number, BusError> | undefined;
}

/** Limits of a `Publisher`. */
export interface PublisherLimits {
  /** Records that may be unconfirmed at a time. */
  readonly maxPending: number;
  /** What a publish beyond that does. */
  readonly whenFull: 'wait' | 'fail';
  /**
   * Milliseconds that a publish may take, waiting for a connection that was lost included. One that waits for room may take
   * as long for that before.
   */
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
  /** Filled in this tick; all but the last are full. */
  #batches: Batch[] = [];
  /** Records handed to `publish` and not yet confirmed or refused. */
  #unconfirmed = 0;
  /** Those that wait for room. */
  readonly #waiting = new Set<() => void>();
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

  /**
   * Resolves when the broker has accepted the record; rejects with a `BusError` otherwise.
   *
   * @param confirm - makes the result of an accepted record
   */
  publish<R>(record: BusRecord, confirm: (record: BusRecord) => R): Promise<R> {
    if (this.#unconfirmed >= this.#limits.maxPending) {
      return this.#enqueueWhenRoom(record, confirm);
    }
    this.#unconfirmed++;
    return this.#enqueue(record, confirm);
  }

  /** Takes its place the moment there is room: a step later, one that never waited could come before it. */
  #enqueueWhenRoom<R>(record: BusRecord, confirm: (record: BusRecord) => R): Promise<R> {
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
      const go = (): void => {
        this.#clock.clearTimeout(timer);
        this.#unconfirmed++;
        resolve(this.#enqueue(record, confirm));
      };
      const timer = this.#clock.setTimeout(() => {
        this.#waiting.delete(go);
        reject(this.#timeout(record));
      }, publishTimeout);
      this.#waiting.add(go);
    });
  }

  #enqueue<R>(record: BusRecord, confirm: (record: BusRecord) => R): Promise<R> {
    const batch = this.#batchFor(record);
    const index = batch.records.push(record) - 1;
    batch.bytes += record.body.length;
    return batch.answered.promise.then(() => {
      const failure = batch.failures?.get(index);
      if (failure !== undefined) throw failure;
      return confirm(record);
    });
  }

  #batchFor(record: BusRecord): Batch {
    const last = this.#batches.at(-1);
    if (
      last !== undefined &&
      last.records.length < this.#broker.capabilities.limits.maxBatch &&
      last.bytes + record.body.length <= BATCH_BYTES
    ) {
      return last;
    }
    if (last === undefined) queueMicrotask(this.#flush);
    const batch: Batch = {
      records: [],
      answered: Promise.withResolvers(),
      bytes: 0,
      deadline: 0,
      settled: false,
      failures: undefined,
    };
    this.#batches.push(batch);
    return batch;
  }

  readonly #flush = (): void => {
    const batches = this.#batches;
    this.#batches = [];
    const { publishTimeout } = this.#limits;
    for (const batch of batches) {
      batch.deadline = this.#clock.now() + publishTimeout;
      this.#inFlight.add(batch);
      this.#timer ??= this.#clock.setTimeout(this.#expire, publishTimeout);
      this.#broker.publish(batch.records, batch.deadline).then(
        () => this.#settle(batch, undefined),
        (error: unknown) => this.#settle(batch, error),
      );
    }
  };

  #settle(batch: Batch, error: unknown): void {
    if (batch.settled) return;
    batch.settled = true;
    this.#inFlight.delete(batch);
    this.#unconfirmed -= batch.records.length;
    if (error !== undefined) batch.failures = this.#failures(batch, error);
    batch.answered.resolve();
    for (const go of this.#waiting) {
      if (this.#unconfirmed >= this.#limits.maxPending) break;
      this.#waiting.delete(go);
      go();
    }
    if (this.#unconfirmed === 0) for (const done of this.#idle.splice(0)) done();
  }

  #failures(batch: Batch, error: unknown): ReadonlyMap<number, BusError> {
    if (PublishError.is(error))
      return new Map(error.failures.map((failure) => [failure.index, failure.error]));
    const { name } = this.#broker;
    return new Map(
      batch.records.map(({ topic }, index) => [index, asBusError(error, { topic, broker: name })]),
    );
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
      this.#settle(batch, this.#timeout(batch.records[0]!));
    }
  };

  /** Resolves when nothing is unconfirmed any more. */
  drained(): Promise<void> {
    if (this.#unconfirmed === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Forgets its timer. */
  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
