import type { Core } from '../core.ts';
import { LeaseLostError } from '../errors.ts';
import type { Settler } from '../settlement/settler.ts';
import type { Deadlines } from './deadlines.ts';
import { decode } from './decode.ts';
import type { IncomingMessage } from './message.ts';
import type { ConsumerPlan } from './plan.ts';
import { UNSEEN } from './unseen.ts';

/** What becomes of messages by the end of their handling, whether they are handled alone or in a batch. */
export class Outcomes {
  readonly #plan: ConsumerPlan;
  readonly #core: Core;
  readonly #deadlines: Deadlines;
  readonly #freeLane: (message: IncomingMessage) => void;

  constructor(
    plan: ConsumerPlan,
    core: Core,
    deadlines: Deadlines,
    freeLane: (message: IncomingMessage) => void,
  ) {
    this.#plan = plan;
    this.#core = core;
    this.#deadlines = deadlines;
    this.#freeLane = freeLane;
  }

  // ---- before its handler -------------------------------------------------------------------------------------------

  start(message: IncomingMessage): void {
    message.phase = 'handling';
    message.holdsLane = true;
    this.#deadlines.start(message);
  }

  isExpired(message: IncomingMessage): boolean {
    const { expiresAt } = message.record;
    return expiresAt !== undefined && expiresAt <= this.#core.clock.now();
  }

  isAtMostOnce(message: IncomingMessage): boolean {
    return this.#plan.atMostOnce || message.record.extensions?.delivery === 'at-most-once';
  }

  /** Decodes it; one that is handled at most once is acked before, and what comes of its handler is only reported. */
  read(message: IncomingMessage): void | Promise<void> {
    if (!this.isAtMostOnce(message)) return decode(message, this.#core.decoding);
    return message.ack().then(() => decode(message, this.#core.decoding));
  }

  /** Acks a message without handling it. */
  skip(message: IncomingMessage, why: 'expired' | 'filtered'): void {
    this.#handled(message);
    this.#core.stats[why]++;
    const name = `message.${why}` as const;
    if (this.#core.events.has(name)) this.#core.events.emit(name, settlerOf(message).describe(message));
    settlerOf(message).done(message);
  }

  /** No handler is to see it now: it takes its place in its key's lane again. */
  putBack(message: IncomingMessage): void {
    this.#deadlines.end(message);
    message.phase = 'abandoned';
    message.isLost = true;
    message.abort(
      new LeaseLostError(`message ${message.id} waits for its turn again`, { topic: message.topic }),
    );
    // Its successor's from here on.
    message.holdsLane = false;
    settlerOf(message).putBack(message);
  }

  /** Somebody else has it. */
  pass(message: IncomingMessage): void {
    this.#handled(message);
  }

  undecodable(message: IncomingMessage, error: unknown): void {
    const settler = settlerOf(message);
    this.#handled(message);
    this.#report(message, error);
    if (message.isLost) settler.done(message);
    else if (this.isAtMostOnce(message)) this.#dropped(message, error);
    else if (this.#plan.refuse !== undefined) settler.failed(message, error);
    else settler.undecodable(message, error);
  }

  // ---- by its handler -----------------------------------------------------------------------------------------------

  succeeded(message: IncomingMessage): void {
    const settler = settlerOf(message);
    this.#handled(message);
    this.#core.stats.handled++;
    if (this.#core.events.has('message.handled')) {
      const duration = this.#core.clock.now() - message.startedAt;
      this.#core.events.emit('message.handled', { ...settler.describe(message), duration });
    }
    if (this.#plan.autoAck || message.isLost) settler.done(message);
  }

  failed(message: IncomingMessage, error: unknown): void {
    this.#handled(message);
    if (error !== UNSEEN) this.#report(message, error);
    if (this.isAtMostOnce(message)) this.#dropped(message, error);
    else settlerOf(message).failed(message, error);
  }

  /** It has not been settled in time. */
  timedOut(message: IncomingMessage, error: Error): void {
    const settler = settlerOf(message);
    this.#core.events.emit('lease.lost', { ...settler.describe(message), reason: 'timeout' });
    this.#report(message, error);
    settler.failed(message, error);
  }

  /** Its handler has ended. What is unsettled in manual mode stays under watch. */
  #handled(message: IncomingMessage): void {
    message.phase = 'handled';
    if (message.isSettled || message.isLost) {
      this.#deadlines.end(message);
      this.#freeLane(message);
    }
  }

  #report(message: IncomingMessage, error: unknown): void {
    this.#core.stats.failed++;
    if (this.#core.events.has('message.failed')) {
      this.#core.events.emit('message.failed', { ...settlerOf(message).describe(message), error });
    }
  }

  #dropped(message: IncomingMessage, error: unknown): void {
    const settler = settlerOf(message);
    this.#core.logger.error(
      { ...settler.describe(message), err: error },
      'message dropped: it was to be delivered at most once',
    );
    settler.drop(message, 'at-most-once');
  }
}

/** What was thrown, if it can be looked at: an object whose getters throw must not upset those who settle and log. */
export function readable(error: unknown): unknown {
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

export function settlerOf(message: IncomingMessage): Settler {
  return message.owner as Settler;
}
