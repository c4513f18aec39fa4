import type { CircuitBreaker } from '../breaker/circuit-breaker.ts';
import { subscriptionBreaker } from '../breaker/subscription-breaker.ts';
import type { Core } from '../core.ts';
import { TimeoutError } from '../errors.ts';
import { BatchRunner } from './batch-runner.ts';
import { BatchScheduler } from './batch-scheduler.ts';
import { Deadlines } from './deadlines.ts';
import { isOutage } from './decode.ts';
import type { IncomingMessage } from './message.ts';
import { Outcomes, readable, settlerOf } from './outcomes.ts';
import type { ConsumerPlan } from './plan.ts';
import { type Scheduler, SingleScheduler } from './scheduler.ts';
import { UNSEEN } from './unseen.ts';

/** What a runner asks of its consumer. */
export interface RunnerHooks {
  /** Whether handlers may start at all. */
  mayRun(): boolean;
  /** Whether one that was being read is to wait after all. */
  mustWait(message: IncomingMessage): boolean;
  breakerOpened(): void;
  breakerHalfOpened(): void;
}

/** Runs the handler of one subscription: decodes, filters, calls it, watches its time and its circuit breaker. */
export class Runner {
  readonly deadlines: Deadlines;
  readonly scheduler: Scheduler;
  readonly #plan: ConsumerPlan;
  readonly #core: Core;
  readonly #hooks: RunnerHooks;
  readonly #breaker: CircuitBreaker | undefined;
  readonly #outcomes: Outcomes;
  readonly #batches: BatchRunner;
  #handling = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(plan: ConsumerPlan, core: Core, hooks: RunnerHooks) {
    this.#plan = plan;
    this.#core = core;
    this.#hooks = hooks;
    this.deadlines = new Deadlines(core.clock, plan.handlerTimeout, (message) => this.#timedOut(message));
    this.#outcomes = new Outcomes(plan, core, this.deadlines, (message) => this.freeLane(message));
    this.#breaker = subscriptionBreaker(plan, core, {
      opened: () => hooks.breakerOpened(),
      halfOpened: () => hooks.breakerHalfOpened(),
      closed: () => this.scheduler.pump(),
    });
    this.#batches = new BatchRunner(plan, this.#outcomes, this.#breaker, {
      mustWait: (message) => this.#mustWait(message),
      slotFreed: () => this.#slotFreed(),
    });
    const admit = (): boolean => hooks.mayRun() && (this.#breaker?.admit() ?? true);
    const { batch, concurrency } = plan;
    this.scheduler =
      batch === undefined
        ? new SingleScheduler(concurrency, admit, (message) => this.#run(message))
        : new BatchScheduler(
            { concurrency, size: batch.size, maxWait: batch.maxWait },
            core.clock,
            admit,
            (messages) => {
              this.#handling++;
              this.#batches.run(messages);
            },
          );
  }

  /** Handlers that run now. */
  get handling(): number {
    return this.#handling;
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    if (this.#handling === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  stop(): void {
    this.deadlines.stop();
    this.scheduler.stop();
    this.#breaker?.stop();
  }

  /** The message is settled; once its handler has ended as well, the next of its key may run. */
  settled(message: IncomingMessage): void {
    message.isSettled = true;
    if (message.phase === 'handling') return;
    this.deadlines.end(message);
    this.freeLane(message);
  }

  /** Puts back what stands behind it of its key in a batch that has not begun. */
  holdBack(message: IncomingMessage): void {
    if (message.batch !== undefined) this.#batches.holdBack(message);
  }

  freeLane(message: IncomingMessage): void {
    if (!message.holdsLane) return;
    message.holdsLane = false;
    this.scheduler.laneFreed(message);
    this.scheduler.pump();
  }

  // ---- one message --------------------------------------------------------------------------------------------------

  #run(message: IncomingMessage): void {
    this.#handling++;
    this.#outcomes.start(message);
    if (this.#outcomes.isExpired(message)) {
      this.#skip(message, 'expired');
      return;
    }
    try {
      const reading = this.#outcomes.read(message);
      if (reading === undefined) this.#handle(message);
      else
        reading.then(
          () => this.#read(message),
          (error: unknown) => this.#undecodable(message, error),
        );
    } catch (error) {
      this.#undecodable(message, error);
    }
  }

  /** Meanwhile its time may have run out, somebody else may have it, or its subscription may have been paused. */
  #read(message: IncomingMessage): void {
    if (message.phase === 'abandoned') return;
    if (!message.isLost && !this.#mustWait(message)) {
      this.#handle(message);
      return;
    }
    if (message.isLost) this.#outcomes.pass(message);
    else this.#outcomes.putBack(message);
    this.#breaker?.forget();
    this.#slotFreed();
  }

  #mustWait(message: IncomingMessage): boolean {
    return this.#hooks.mustWait(message) && message.settlement === undefined;
  }

  #handle(message: IncomingMessage): void {
    let result: unknown;
    try {
      if (this.#plan.filter !== undefined && !this.#plan.filter(message)) {
        this.#skip(message, 'filtered');
        return;
      }
      result = this.#plan.handle(message);
    } catch (error) {
      this.#failed(message, error);
      return;
    }
    if (typeof (result as PromiseLike<unknown> | undefined | null)?.then === 'function') {
      void this.#finish(message, result as PromiseLike<unknown>);
    } else {
      this.#succeeded(message);
    }
  }

  async #finish(message: IncomingMessage, result: PromiseLike<unknown>): Promise<void> {
    try {
      await result;
    } catch (error) {
      this.#failed(message, error);
      return;
    }
    this.#succeeded(message);
  }

  #succeeded(message: IncomingMessage): void {
    if (this.#endedLate(message)) return;
    this.#breaker?.success();
    this.#outcomes.succeeded(message);
    this.#slotFreed();
  }

  #failed(message: IncomingMessage, error: unknown): void {
    if (this.#endedLate(message)) return;
    const cause = readable(error);
    if (cause === UNSEEN) this.#breaker?.forget();
    else this.#breaker?.failure(cause);
    this.#outcomes.failed(message, cause);
    this.#slotFreed();
  }

  /** A handler that ran out of time has lost its slot already, and its end changes nothing. */
  #endedLate(message: IncomingMessage): boolean {
    if (message.phase !== 'abandoned') return false;
    this.#core.logger.warn(settlerOf(message).describe(message), 'a handler ended after its timeout');
    return true;
  }

  #undecodable(message: IncomingMessage, error: unknown): void {
    if (message.phase === 'abandoned') return;
    if (isOutage(error)) this.#breaker?.failure(error);
    else this.#breaker?.forget();
    this.#outcomes.undecodable(message, error);
    this.#slotFreed();
  }

  #skip(message: IncomingMessage, why: 'expired' | 'filtered'): void {
    this.#breaker?.forget();
    this.#outcomes.skip(message, why);
    this.#slotFreed();
  }

  // ---- alone or in a batch ------------------------------------------------------------------------------------------

  #slotFreed(): void {
    this.#handling--;
    this.scheduler.slotFreed();
    this.scheduler.pump();
    if (this.#handling === 0 && this.#idle !== undefined) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  #timedOut(message: IncomingMessage): void {
    const { handlerTimeout } = this.#plan;
    const error = new TimeoutError(`not settled within ${handlerTimeout} ms ("handlerTimeout")`, {
      topic: message.topic,
    });
    this.deadlines.end(message);
    const wasHandling = message.phase === 'handling';
    message.phase = 'abandoned';
    message.abort(error);
    const hasFailed = message.settlement === undefined && !message.isLost;
    if (hasFailed) {
      this.#breaker?.failure(error);
      this.#outcomes.timedOut(message, error);
    } else {
      this.freeLane(message);
    }
    // From here on its own settlements are late.
    message.isLost = true;
    if (!wasHandling) return;
    if (message.batch !== undefined) {
      this.#batches.leave(message.batch);
    } else {
      // A trial that says nothing any more is free for another.
      if (!hasFailed) this.#breaker?.forget();
      this.#slotFreed();
    }
  }
}
