import { type BusError, PublishError, type PublishFailure, TimeoutError } from '@ambus/core';

/** One `publish`: its records go their own ways, and its promise settles when the last of them has arrived or failed. */
export class PublishCall {
  readonly deadline: number;
  readonly promise: Promise<void>;
  readonly #settled: Uint8Array;
  #left: number;
  #failures: PublishFailure[] | undefined;
  #resolve!: () => void;
  #reject!: (error: BusError) => void;

  constructor(records: number, deadline: number) {
    this.deadline = deadline;
    this.#left = records;
    this.#settled = new Uint8Array(records);
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  done(index: number): boolean {
    return this.#settled[index] === 1;
  }

  accepted(index: number): void {
    if (this.#settled[index] === 1) return;
    this.#settled[index] = 1;
    if (--this.#left === 0) this.#end();
  }

  failed(index: number, error: BusError): void {
    if (this.#settled[index] === 1) return;
    this.#failures ??= [];
    this.#failures.push({ index, error });
    this.accepted(index);
  }

  #end(): void {
    const failures = this.#failures;
    if (failures === undefined) {
      this.#resolve();
      return;
    }
    failures.sort((a, b) => a.index - b.index);
    const { length } = this.#settled;
    this.#reject(
      new PublishError(
        `${failures.length} of ${length} messages were not accepted: ${failures[0]!.error.message}`,
        failures,
        {
          broker: 'kafka',
          cause: failures[0]!.error,
        },
      ),
    );
  }
}

export function tooLate(topic: string, cause?: unknown): TimeoutError {
  return new TimeoutError(`the server did not accept a message for "${topic}" in time`, {
    topic,
    broker: 'kafka',
    cause,
  });
}
