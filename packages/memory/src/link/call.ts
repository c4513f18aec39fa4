import {
  type BusError,
  type BusRecord,
  type Clock,
  PublishError,
  type PublishFailure,
  TimeoutError,
  type Timer,
} from '@ambus/core';

/** Something that a bus asks of the server, and that may have to wait for its connection. */
export interface Call {
  /** It has arrived at the server. */
  run(): void;
  /** It never will. */
  fail(error: BusError): void;
}

/** A call that has a result. */
export class Request<T> implements Call {
  readonly promise: Promise<T>;
  readonly #effect: () => T;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;

  constructor(effect: () => T) {
    this.#effect = effect;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  run(): void {
    try {
      this.#resolve(this.#effect());
    } catch (error) {
      this.#reject(error);
    }
  }

  fail(error: BusError): void {
    this.#reject(error);
  }
}

/** A publish that cannot be done at once. Each of its records is accepted, refused, or out of time. */
export class PublishCall implements Call {
  readonly records: readonly BusRecord[];
  readonly promise: Promise<void>;
  /** Whether the caller has its answer. */
  done = false;
  readonly #clock: Clock;
  readonly #deadline: number;
  readonly #timer: Timer | undefined;
  readonly #store: (call: PublishCall) => void;
  readonly #open: Set<number>;
  readonly #failures: PublishFailure[] = [];
  #resolve!: () => void;
  #reject!: (error: BusError) => void;

  /**
   * @param deadline - milliseconds since the epoch, after which nothing more of it is stored
   * @param store - what happens when it arrives
   * @param expired - called when the deadline has passed
   */
  constructor(
    records: readonly BusRecord[],
    deadline: number,
    clock: Clock,
    store: (call: PublishCall) => void,
    expired: () => void,
  ) {
    this.records = records;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#store = store;
    this.#open = new Set(records.keys());
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.#timer = clock.setTimeout(
      () => {
        this.#late();
        expired();
      },
      Math.max(0, deadline - clock.now()),
    );
  }

  run(): void {
    if (this.done) return;
    // Its timer may be due and not have fired yet, and after the deadline nothing is stored.
    if (this.#clock.now() >= this.#deadline) this.#late();
    else this.#store(this);
  }

  #late(): void {
    this.fail(new TimeoutError('the broker took no more messages before the deadline', { broker: 'memory' }));
  }

  accepted(index: number): void {
    this.#open.delete(index);
    if (this.#open.size === 0) this.#finish();
  }

  refused(index: number, error: BusError): void {
    this.#failures.push({ index, error });
    this.accepted(index);
  }

  fail(error: BusError): void {
    if (this.done) return;
    if (this.#open.size === this.records.length) {
      this.#close();
      this.#reject(error);
      return;
    }
    for (const index of this.#open) this.#failures.push({ index, error });
    this.#finish();
  }

  #finish(): void {
    this.#close();
    if (this.#failures.length === 0) this.#resolve();
    else this.#reject(publishError(this.#failures, this.records.length));
  }

  #close(): void {
    this.done = true;
    this.#clock.clearTimeout(this.#timer);
  }
}

export function publishError(failures: PublishFailure[], total: number): PublishError {
  failures.sort((a, b) => a.index - b.index);
  return new PublishError(
    `${failures.length} of ${total} messages were not accepted, the first because: ${failures[0]!.error.message}`,
    failures,
    { broker: 'memory', cause: failures[0]!.error },
  );
}
