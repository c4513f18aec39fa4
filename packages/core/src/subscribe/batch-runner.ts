import type { CircuitBreaker } from '../breaker/circuit-breaker.ts';
import { isOutage } from './decode.ts';
import type { BatchRun, IncomingMessage, Message } from './message.ts';
import { type Outcomes, readable } from './outcomes.ts';
import type { ConsumerPlan } from './plan.ts';
import { runBatch } from './run-batch.ts';

/** What a batch runner asks of the runner around it. */
export interface BatchRunnerHooks {
  /** Whether a message that was being read meanwhile is to wait after all. */
  mustWait(message: IncomingMessage): boolean;
  slotFreed(): void;
}

/** Runs batches: each holds one slot, until its handler ends or none of its messages is waited for any more. */
export class BatchRunner {
  readonly #plan: ConsumerPlan;
  readonly #outcomes: Outcomes;
  readonly #breaker: CircuitBreaker | undefined;
  readonly #hooks: BatchRunnerHooks;

  constructor(
    plan: ConsumerPlan,
    outcomes: Outcomes,
    breaker: CircuitBreaker | undefined,
    hooks: BatchRunnerHooks,
  ) {
    this.#plan = plan;
    this.#outcomes = outcomes;
    this.#breaker = breaker;
    this.#hooks = hooks;
  }

  run(messages: readonly IncomingMessage[]): void {
    const run: BatchRun = { messages, failure: undefined, hasBegun: false, isOver: false };
    for (const message of messages) {
      message.batch = run;
      this.#outcomes.start(message);
    }
    const batch = this.#plan.batch!;
    const steps = {
      prepare: async (message: IncomingMessage) => {
        const isWanted = await this.#prepare(message);
        if (!isWanted) this.leave(run);
        return isWanted;
      },
      begin: (prepared: readonly IncomingMessage[]) => prepared.filter((message) => this.#mayBegin(message)),
      wrap: batch.wrap,
      handle: (ready: readonly Message[]) => {
        run.hasBegun = true;
        return batch.handle(ready);
      },
      succeeded: (message: IncomingMessage) => {
        if (isAbandoned(message)) return;
        this.#outcomes.succeeded(message);
        if (!run.hasBegun) this.leave(run);
      },
      failed: (message: IncomingMessage, error: unknown) => this.#failed(message, error),
    };
    void runBatch(messages, steps).then((error) => {
      if (run.isOver) return;
      const failure = error ?? run.failure;
      this.#end(run, () =>
        failure === undefined ? this.#breaker?.success() : this.#breaker?.failure(failure),
      );
    });
  }

  /** One of a batch is done with before its handler has ended: with the last one its slot is free. */
  leave(run: BatchRun): void {
    if (run.isOver || run.messages.some(({ phase }) => phase === 'handling')) return;
    const { failure } = run;
    this.#end(run, () => (failure === undefined ? this.#breaker?.forget() : this.#breaker?.failure(failure)));
  }

  #end(run: BatchRun, tellBreaker: () => void): void {
    run.isOver = true;
    tellBreaker();
    this.#hooks.slotFreed();
  }

  /** False when the handler is not to see it; it is settled then, or waits. */
  async #prepare(message: IncomingMessage): Promise<boolean> {
    // One before it may have held it back already.
    if (isAbandoned(message)) return false;
    if (this.#outcomes.isExpired(message)) {
      this.#outcomes.skip(message, 'expired');
      return false;
    }
    try {
      await this.#outcomes.read(message);
    } catch (error) {
      if (isAbandoned(message)) return false;
      if (isOutage(error)) {
        this.#breaker?.failure(error);
        this.holdBack(message);
      }
      this.#outcomes.undecodable(message, error);
      return false;
    }
    if (isAbandoned(message)) return false;
    try {
      if (this.#plan.filter === undefined || this.#plan.filter(message)) return true;
      this.#outcomes.skip(message, 'filtered');
    } catch (error) {
      this.#failed(message, error);
    }
    return false;
  }

  /** Something may have come to pass while others of the batch were read. */
  #mayBegin(message: IncomingMessage): boolean {
    if (isAbandoned(message)) return false;
    if (message.isLost) this.#outcomes.pass(message);
    else if (this.#hooks.mustWait(message)) this.#outcomes.putBack(message);
    else return true;
    this.leave(message.batch!);
    return false;
  }

  #failed(message: IncomingMessage, error: unknown): void {
    if (isAbandoned(message)) return;
    const run = message.batch!;
    const cause = readable(error);
    if (this.#plan.retry.order === 'block') this.holdBack(message);
    this.#outcomes.failed(message, cause);
    if (run.hasBegun) return;
    run.failure ??= cause;
    this.leave(run);
  }

  /** Those of its key in the batch behind it must not pass it: they wait for it like those that are not in the batch. */
  holdBack(message: IncomingMessage): void {
    const run = message.batch!;
    const { key } = message.record;
    if (key === undefined || run.hasBegun || this.#outcomes.isAtMostOnce(message)) return;
    for (const other of run.messages.slice(run.messages.indexOf(message) + 1)) {
      if (other.record.key !== key || other.phase !== 'handling') continue;
      if (other.settlement !== undefined || other.isLost) continue;
      this.#outcomes.putBack(other);
      this.leave(run);
    }
  }
}

const isAbandoned = ({ phase }: IncomingMessage): boolean => phase === 'abandoned';
