import {
  type Broker,
  type BusRecord,
  type Clock,
  PublishError,
  type PublishFailure,
  TimeoutError,
} from '@ambus/core';
import { DelayLine } from './delay-line.ts';
import type { Faults } from './faults.ts';

/** One call of `publish`, decided. */
interface Call {
  readonly deadline: number;
  /** What goes to the broker, and where each record was in the caller's list. */
  readonly records: BusRecord[];
  readonly places: number[];
  readonly copies: BusRecord[];
  readonly failures: PublishFailure[];
  readonly total: number;
  readonly answer: PromiseWithResolvers<void>;
}

/** Publishes with faults. */
export class FaultyPublisher {
  readonly #broker: Broker;
  readonly #faults: Faults;
  readonly #clock: () => Clock;
  readonly #line: DelayLine<Call>;

  constructor(broker: Broker, faults: Faults, clock: () => Clock) {
    this.#broker = broker;
    this.#faults = faults;
    this.#clock = clock;
    this.#line = new DelayLine(clock, (call) => {
      this.#send(call).then(call.answer.resolve, call.answer.reject);
    });
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    const call: Call = {
      deadline,
      records: [],
      places: [],
      copies: [],
      failures: [],
      total: records.length,
      answer: Promise.withResolvers(),
    };
    let delay = 0;
    for (const [index, record] of records.entries()) {
      const verdict = this.#faults.decide('publish', record, this.#clock());
      if (verdict?.fault === 'drop') continue;
      if (verdict?.fault === 'fail') {
        call.failures.push({ index, error: verdict.error });
        continue;
      }
      delay = Math.max(delay, verdict?.delay ?? 0);
      call.places.push(index);
      call.records.push(record);
      if (verdict?.fault === 'duplicate') call.copies.push(record);
    }
    this.#line.add(call, delay);
    return call.answer.promise;
  }

  async #send({ deadline, records, places, copies, failures, total }: Call): Promise<void> {
    if (records.length > 0) {
      if (this.#clock().now() > deadline) {
        throw new TimeoutError('the injected delay is longer than the deadline', {
          broker: this.#broker.name,
        });
      }
      try {
        await this.#broker.publish(records, deadline);
      } catch (error) {
        if (!PublishError.is(error)) throw error;
        for (const failure of error.failures)
          failures.push({ index: places[failure.index]!, error: failure.error });
      }
      // Nobody waits for the copies, so nobody hears of it if they fail.
      if (copies.length > 0) await this.#broker.publish(copies, deadline).catch(() => {});
    }
    if (failures.length === 0) return;
    failures.sort((a, b) => a.index - b.index);
    const { error } = failures[0]!;
    throw new PublishError(
      `${failures.length} of ${total} messages were not accepted: ${error.message}`,
      failures,
      {
        broker: this.#broker.name,
        cause: error,
      },
    );
  }

  /** What is on its way arrives. */
  flush(): void {
    for (const call of this.#line.take()) this.#send(call).then(call.answer.resolve, call.answer.reject);
  }
}
