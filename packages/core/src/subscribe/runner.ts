import type { CircuitBreaker } from '../breaker/circuit-breaker.ts';
import { subscriptionBreaker } from '../breaker/subscription-breaker.ts';
import type { Core } from '../core.ts';
import { TimeoutError } from '../errors.ts';
import type { Settler } from '../settlement/settler.ts';
import { BatchScheduler } from './batch-scheduler.ts';
import { Deadlines } from './deadlines.ts';
import { decode, isOutage } from './decode.ts';
import type { BatchRun, IncomingMessage } from './message.ts';
import type { ConsumerPlan } from './plan.ts';
import { runBatch } from './run-batch.ts';
import { type Scheduler, SingleScheduler } from './scheduler.ts';

/** What a runner asks of its consumer. */
export interface RunnerHooks {
  /** Whether handlers may start at all. */
  mayRun(): boolean;
  breakerOpened(): void;
  breakerHalfOpened(): void;
}

/** Runs the handler of one subscription: decodes, filters, calls it, watches its time and its circuit breaker. */
export class Runner {
  readonly deadlines: Deadlines;
  readonly scheduler: Scheduler;
  readonly #plan: ConsumerPlan;
  readonly #core: Core;
  readonly #breaker: CircuitBreaker | undefined;
  #handling = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(plan: ConsumerPlan, core: Core, hooks: RunnerHooks) {
    this.#plan = plan;
    this.#core = core;
    this.deadlines = new Deadlines(core.clock, plan.handlerTimeout, (message) => this.#timedOut(message));
    this.#breaker = subscriptionBreaker(plan, core, {
      opened: () => hooks.breakerOpened(),
      halfOpened: () => hooks.breakerHalfOpened(),
      closed: () => this.scheduler.pump(),
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
            (messages) => this.#runBatch(messages),
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

  freeLane(message: IncomingMessage): void {
    if (!message.holdsLane) return;
    message.holdsLane = false;
    this.scheduler.laneFreed(message);
    this.scheduler.pump();
  }

  // ---- one message --------------------------------------------------------------------------------------------------

  #start(message: IncomingMessage): void {
    message.phase = 'handling';
    message.holdsLane = true;
    this.deadlines.start(message);
  }

  #run(message: IncomingMessage): void {
    this.#handling++;
    this.#start(message);
    if (this.#isExpired(message)) {
      this.#pass(message, 'expired');
      return;
    }
    try {
      const decoding = this.#atMostOnce(message)
        ? this.#ackFirst(message)
        : decode(message, this.#core.decoding);
      if (decoding === undefined) this.#handle(message);
      else
        decoding.then(
          () => this.#decoded(message),
          (error: unknown) => this.#undecodable(message, error),
        );
    } catch (error) {
      this.#undecodable(message, error);
    }
  }

  /** Meanwhile its time may have run out, or somebody else may have it. */
  #decoded(message: IncomingMessage): void {
    if (message.phase === 'abandoned') return;
    if (message.isLost) {
      this.#breaker?.forget();
      this.#handled(message);
      this.#slotFreed();
    } else {
      this.#handle(message);
    }
  }

  #handle(message: IncomingMessage): void {
    let result: unknown;
    try {
      if (this.#plan.filter !== undefined && !this.#plan.filter(message)) {
        this.#pass(message, 'filtered');
        return;
      }
      result = this.#plan.handle(message);
    } catch (error) {
      this.#ended(message, false, error);
      return;
    }
    if (typeof (result as PromiseLike<unknown> | undefined | null)?.then === 'function') {
      void this.#finish(message, result as PromiseLike<unknown>);
    } else {
      this.#ended(message, true, undefined);
    }
  }

  async #finish(message: IncomingMessage, result: PromiseLike<unknown>): Promise<void> {
    try {
      await result;
    } catch (error) {
      this.#ended(message, false, error);
      return;
    }
    this.#ended(message, true, undefined);
  }

  #ended(message: IncomingMessage, ok: boolean, error: unknown): void {
    // A handler that ran out of time has lost its slot already, and its end changes nothing.
    if (message.phase === 'abandoned') {
      this.#core.logger.warn(settlerOf(message).describe(message), 'a handler ended after its timeout');
      return;
    }
    const cause = ok ? undefined : readable(error);
    if (ok) this.#breaker?.success();
    else this.#breaker?.failure(cause);
    this.#outcome(message, ok, cause);
    this.#slotFreed();
  }

  /** Settles a message by its handler's outcome. */
  #outcome(message: IncomingMessage, ok: boolean, error: unknown): void {
    const settler = settlerOf(message);
    this.#handled(message);
    if (ok) {
      this.#core.stats.handled++;
      if (this.#core.events.has('message.handled')) {
        const duration = this.#core.clock.now() - message.startedAt;
        this.#core.events.emit('message.handled', { ...settler.describe(message), duration });
      }
      if (this.#plan.autoAck || message.isLost) settler.done(message);
    } else {
      this.#failed(message, error);
      if (this.#atMostOnce(message)) this.#dropped(message, error);
      else settler.failed(message, error);
    }
  }

  /** Its handler has ended. What is unsettled in manual mode stays under watch. */
  #handled(message: IncomingMessage): void {
    message.phase = 'handled';
    if (message.isSettled || message.isLost) {
      this.deadlines.end(message);
      this.freeLane(message);
    }
  }

  #failed(message: IncomingMessage, error: unknown): void {
    this.#core.stats.failed++;
    if (this.#core.events.has('message.failed')) {
      this.#core.events.emit('message.failed', { ...settlerOf(message).describe(message), error });
    }
  }

  #undecodable(message: IncomingMessage, error: unknown): void {
    if (isOutage(error)) this.#breaker?.failure(error);
    else this.#breaker?.forget();
    if (message.phase === 'abandoned') return;
    this.#handled(message);
    this.#failed(message, error);
    if (message.isLost) settlerOf(message).done(message);
    else if (this.#atMostOnce(message)) this.#dropped(message, error);
    else if (this.#plan.refuse !== undefined) settlerOf(message).failed(message, error);
    else settlerOf(message).undecodable(message, error);
    this.#slotFreed();
  }

  /** Acks a message without handling it. */
  #pass(message: IncomingMessage, why: 'expired' | 'filtered'): void {
    this.#breaker?.forget();
    this.#skip(message, why);
    this.#slotFreed();
  }

  #skip(message: IncomingMessage, why: 'expired' | 'filtered'): void {
    this.#handled(message);
    this.#core.stats[why]++;
    const name = `message.${why}` as const;
    if (this.#core.events.has(name)) this.#core.events.emit(name, settlerOf(message).describe(message));
    settlerOf(message).done(message);
  }

  #slotFreed(): void {
    this.#handling--;
    this.scheduler.slotFreed();
    this.scheduler.pump();
    if (this.#handling === 0 && this.#idle !== undefined) {
      this.#idle.resolve();
      this.#idle = undefined;
    }
  }

  // ---- a batch ------------------------------------------------------------------------------------------------------

  #runBatch(messages: readonly IncomingMessage[]): void {
    this.#handling++;
    const run: BatchRun = { watched: messages.length, isOver: false };
    for (const message of messages) {
      message.batch = run;
      this.#start(message);
    }
    const { batch } = this.#plan;
    const steps = {
      prepare: async (message: IncomingMessage) => {
        const isWanted = await this.#prepare(message);
        if (!isWanted && message.phase !== 'abandoned') this.#leaveBatch(run);
        return isWanted;
      },
      wrap: batch!.wrap,
      handle: batch!.handle,
      succeeded: (message: IncomingMessage) => this.#endedInBatch(message, true, undefined),
      failed: (message: IncomingMessage, error: unknown) => this.#endedInBatch(message, false, error),
    };
    void runBatch(messages, steps).then((error) => {
      if (run.isOver) return;
      run.isOver = true;
      if (error === undefined) this.#breaker?.success();
      else this.#breaker?.failure(error);
      this.#slotFreed();
    });
  }

  /** One of a batch is passed over, or out of time: with the last one its slot is free, whatever the handler does. */
  #leaveBatch(run: BatchRun): void {
    if (--run.watched > 0 || run.isOver) return;
    run.isOver = true;
    this.#breaker?.forget();
    this.#slotFreed();
  }

  async #prepare(message: IncomingMessage): Promise<boolean> {
    if (this.#isExpired(message)) {
      this.#skip(message, 'expired');
      return false;
    }
    try {
      await (this.#atMostOnce(message) ? this.#ackFirst(message) : decode(message, this.#core.decoding));
    } catch (error) {
      if (isOutage(error)) this.#breaker?.failure(error);
      if (message.phase === 'abandoned') return false;
      this.#handled(message);
      this.#failed(message, error);
      if (this.#atMostOnce(message)) this.#dropped(message, error);
      else settlerOf(message).undecodable(message, error);
      return false;
    }
    if (message.phase === 'abandoned') return false;
    try {
      if (this.#plan.filter === undefined || this.#plan.filter(message)) return true;
      this.#skip(message, 'filtered');
    } catch (error) {
      this.#outcome(message, false, error);
    }
    return false;
  }

  #endedInBatch(message: IncomingMessage, ok: boolean, error: unknown): void {
    if (message.phase !== 'abandoned') this.#outcome(message, ok, ok ? undefined : readable(error));
  }

  // ---- the rest -----------------------------------------------------------------------------------------------------

  #isExpired(message: IncomingMessage): boolean {
    const { expiresAt } = message.record;
    return expiresAt !== undefined && expiresAt <= this.#core.clock.now();
  }

  #atMostOnce(message: IncomingMessage): boolean {
    return this.#plan.atMostOnce || message.record.extensions?.delivery === 'at-most-once';
  }

  /** At most once: what comes of the handler is only reported. */
  async #ackFirst(message: IncomingMessage): Promise<void> {
    await message.ack();
    await decode(message, this.#core.decoding);
  }

  #dropped(message: IncomingMessage, error: unknown): void {
    const settler = settlerOf(message);
    this.#core.logger.error(
      { ...settler.describe(message), err: error },
      'message dropped: it was to be delivered at most once',
    );
    settler.drop(message, 'at-most-once');
  }

  #timedOut(message: IncomingMessage): void {
    const settler = settlerOf(message);
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
      this.#core.events.emit('lease.lost', { ...settler.describe(message), reason: 'timeout' });
      this.#breaker?.failure(error);
      this.#failed(message, error);
      settler.failed(message, error);
    } else {
      this.freeLane(message);
    }
    // From here on its own settlements are late.
    message.isLost = true;
    if (!wasHandling) return;
    if (message.batch !== undefined) {
      this.#leaveBatch(message.batch);
    } else {
      // A trial that says nothing any more is free for another.
      if (!hasFailed) this.#breaker?.forget();
      this.#slotFreed();
    }
  }
}

/** What was thrown, if it can be looked at: an object whose getters throw must not upset those who settle and log. */
function readable(error: unknown): unknown {
  try {
    if (typeof error === 'object' && error !== null) {
      const { name, message, code, retryable, stack } = error as Record<string, unknown>;
      void [name, message, code, retryable, stack].map(String);
    }
    return error;
  } catch {
    return new Error('the handler failed with something that cannot be read');
  }
}

function settlerOf(message: IncomingMessage): Settler {
  return message.owner as Settler;
}
