import type { Delivery } from '../broker.ts';
import { atMost } from '../clock.ts';
import { checkArgument, milliseconds } from '../config/check.ts';
import type { Core } from '../core.ts';
import type { DeadLetterRule } from '../dead-letter/options.ts';
import { type DeadLetterInfo, describeError, toDeadLetter } from '../dead-letter/record.ts';
import { LeaseLostError, ValidationError } from '../errors.ts';
import type { ConsumerEvent } from '../events/events.ts';
import type { PublishOptions } from '../publish/options.ts';
import type { Receipt } from '../publish/receipt.ts';
import { decodeRetry, type RetryPolicy, retryDelay, retryPolicy } from '../retry/policy.ts';
import { isRetryable } from '../retry/retryable.ts';
import { isOutage } from '../subscribe/decode.ts';
import type { Flow } from '../subscribe/flow.ts';
import { IncomingMessage, type MessageOwner, type Settlement } from '../subscribe/message.ts';
import { timeout } from '../subscribe/options.ts';
import { UNSEEN } from '../subscribe/unseen.ts';
import { Staging } from './staging.ts';
import { type Waiting, WaitingRoom } from './waiting-room.ts';

/** How a consumer wants its messages settled. */
export interface SettlementRules {
  readonly pattern: string;
  readonly group: string | undefined;
  readonly retry: RetryPolicy;
  readonly deadLetter: DeadLetterRule | false;
  /** Acked before handling; a failure is only reported. */
  readonly atMostOnce: boolean;
  /** What handlers publish is stored with the acks of their messages. */
  readonly transaction: boolean;
  /** Takes the place of retries and dead letters: a responder answers with the error. */
  readonly refuse?: (message: IncomingMessage, error: unknown) => Promise<void>;
}

/** What the settler needs of the consumer around it. */
export interface SettlerHooks {
  /** The message is settled: the next of its key may run. */
  settled(message: IncomingMessage): void;
  /** Puts back what stands behind it of its key in a batch that has not begun. */
  holdBack(message: IncomingMessage): void;
  /** Takes away what waits behind a message of its key. */
  takeLane(message: IncomingMessage): readonly IncomingMessage[];
  /** Puts a message whose retry is due, and which the broker could not hold, back in. */
  again(message: IncomingMessage, heldLane: boolean): void;
  extend(message: IncomingMessage, duration: number): void;
  /** The message stays here for a while, and no handler has it. */
  heldUp(): void;
  /** Frees the lane that a waiting message still holds. */
  abandonLane(message: IncomingMessage): void;
  /** Whether `error` comes of the end of the subscription: then it says nothing about the message. */
  isOfTheEnd(error: unknown): boolean;
}

/** Milliseconds between tries to store a dead letter: short first, since the message holds its place, then patient. */
const STORE_RETRY = { first: 200, longest: 30_000 };

/** Milliseconds until a message is tried again that could not be decoded in an outage. */
const OUTAGE_WAIT = 1_000;

/** Milliseconds between two looks at a handler that goes on after it has nacked its message. */
const HANDLER_WAIT = 50;

/** Milliseconds between two lines in the log about an outage. */
const OUTAGE_TOLD = 10_000;

/** Decides and carries out what becomes of each message of one flow. */
export class Settler implements MessageOwner {
  readonly staging: Staging;
  readonly #flow: Flow;
  readonly #rules: SettlementRules;
  readonly #core: Core;
  readonly #hooks: SettlerHooks;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #room: WaitingRoom;
  #stopped = false;
  #outageTold = Number.NEGATIVE_INFINITY;

  constructor(flow: Flow, rules: SettlementRules, core: Core, hooks: SettlerHooks) {
    this.#flow = flow;
    this.staging = new Staging(flow, core);
    this.#rules = rules;
    this.#core = core;
    this.#hooks = hooks;
    this.#room = new WaitingRoom(core.clock);
  }

  /** Whether the broker can take its messages back. */
  get returnable(): boolean {
    return this.#flow.returnable;
  }

  get group(): string | undefined {
    return this.#rules.group;
  }

  describe(message: IncomingMessage): ConsumerEvent {
    const { id, topic, attempt } = message;
    return { id, topic, pattern: this.#rules.pattern, group: this.#rules.group, attempt };
  }

  // ---- asked for by the handler -------------------------------------------------------------------------------------

  settleAck(message: IncomingMessage): Promise<void> {
    return this.#settle(message, 'ack', async () => {
      const accepted = await this.#flow
        .ackConfirmed(message.loan)
        .finally(() => this.#hooks.settled(message));
      if (!accepted) throw this.#leaseLost(message);
    });
  }

  settleNack(message: IncomingMessage, delay: number | undefined, error: unknown): Promise<void> {
    if (delay !== undefined) checkArgument('nack option "delay"', delay, milliseconds(0));
    return this.#settle(message, 'nack', () =>
      this.#fail(message, error ?? new Error('nacked by its handler'), delay),
    );
  }

  settleDeadLetter(message: IncomingMessage, reason: string, error: unknown): Promise<void> {
    checkArgument('the reason', reason, (value) =>
      typeof value === 'string' && value !== '' ? undefined : 'a text',
    );
    return this.#settle(message, 'deadLetter', () => this.#deadLetter(message, reason, error));
  }

  extend(message: IncomingMessage, duration: number): void {
    checkArgument('the duration to extend by', duration, timeout);
    if (message.isLost || message.settlement !== undefined) return;
    this.#hooks.extend(message, duration);
  }

  publish(message: IncomingMessage, topic: string, data: unknown, options: PublishOptions): Promise<Receipt> {
    // One that its publisher wants handled at most once is acked already, so what it causes goes out at once.
    if (!this.#rules.transaction || message.delivery === 'at-most-once')
      return this.#core.publish(topic, data, options);
    return this.#core.publish(topic, data, options, (record) => this.staging.stage(message, record));
  }

  #settle(message: IncomingMessage, kind: Settlement, act: () => Promise<void>): Promise<void> {
    const settled = this.#settleOnce(message, kind, act);
    // A handler that does not wait for it is told by the events; it must not take the process down.
    settled.catch(() => {});
    return settled;
  }

  async #settleOnce(message: IncomingMessage, kind: Settlement, act: () => Promise<void>): Promise<void> {
    if (message.isLost) throw this.#leaseLost(message);
    if (message.settlement !== undefined) {
      if (message.settlement === kind) return message.settled;
      throw new ValidationError(
        `message ${message.id} is settled already (${message.settlement}), it can have no other settlement (${kind})`,
        {
          topic: message.topic,
        },
      );
    }
    message.settlement = kind;
    if (kind !== 'ack') this.staging.drop(message);
    message.settled = this.#track(act());
    return message.settled;
  }

  #leaseLost(message: IncomingMessage): LeaseLostError {
    this.#core.stats.leasesLost++;
    this.#core.events.emit('lease.lost', { ...this.describe(message), reason: 'late' });
    return new LeaseLostError(`message ${message.id} no longer belongs to this consumer`, {
      topic: message.topic,
      broker: this.#core.broker.name,
    });
  }

  // ---- by the handler's outcome -------------------------------------------------------------------------------------

  /** Its handler succeeded, or there is nothing to handle. On the hot path: no promise, the ack goes out with its tick. */
  done(message: IncomingMessage): void {
    if (message.isLost) {
      this.#leaseLost(message);
      return;
    }
    if (message.settlement !== undefined) return;
    message.settlement = 'ack';
    this.#flow.ack(message.loan);
    this.#hooks.settled(message);
  }

  /** Its handler failed, or it cannot be handled. */
  failed(message: IncomingMessage, error: unknown): void {
    if (message.isLost) this.#leaseLost(message);
    if (message.isLost || message.settlement !== undefined) return;
    message.settlement = 'nack';
    this.staging.drop(message);
    message.settled = this.#track(this.#fail(message, error, undefined));
  }

  /** It will never be handled. */
  hopeless(message: IncomingMessage, reason: string, error: unknown): void {
    if (message.isLost || message.settlement !== undefined) return;
    message.settlement = 'deadLetter';
    this.staging.drop(message);
    message.settled = this.#track(this.#deadLetter(message, reason, error));
  }

  /**
   * Hopeless, unless an outage is the reason: then it waits here, with its lease and its key's lane. Given back to the
   * broker it would use up its attempts, and be overtaken by others of its key.
   */
  undecodable(message: IncomingMessage, error: unknown): void {
    if (!isOutage(error)) {
      this.hopeless(message, 'undecodable', error);
    } else if (!message.isLost && message.settlement === undefined) {
      this.#tellOutage(message, error);
      this.#waitHere(message, message.attempt, OUTAGE_WAIT, true);
    }
  }

  /** Now and then: in an outage there are many messages, each of which is tried again and again. */
  #tellOutage(message: IncomingMessage, error: unknown): void {
    const now = this.#core.clock.now();
    if (now - this.#outageTold < OUTAGE_TOLD) return;
    this.#outageTold = now;
    this.#core.logger.warn({ ...this.describe(message), err: error }, 'messages cannot be decoded yet');
  }

  /** The policy for one message: what its publisher asked for, over the consumer's own. */
  policy(message: IncomingMessage): RetryPolicy {
    const own = message.record.extensions?.retry;
    return own === undefined ? this.#rules.retry : retryPolicy(decodeRetry(own), this.#rules.retry);
  }

  async #fail(message: IncomingMessage, error: unknown, delay: number | undefined): Promise<void> {
    if (this.#rules.refuse !== undefined) {
      await this.#rules.refuse(message, error);
      this.#flow.ack(message.loan);
      return this.#hooks.settled(message);
    }
    if (error === UNSEEN) {
      if (this.#flow.returnable) return this.#release(message);
      return this.#waitHere(message, message.attempt, 0, true);
    }
    const policy = this.policy(message);
    if (this.#hooks.isOfTheEnd(error)) {
      // Counted, it would be given up before anybody has tried it to the end.
      const isLast = message.attempt > policy.maxRetries && this.#flow.returnable;
      return isLast ? this.#release(message) : this.#retry(message, 0);
    }
    // A delay was asked for by name: the handler knows that another try helps.
    if (delay === undefined && !isRetryable(error, policy))
      return this.#deadLetter(message, 'not-retryable', error);
    if (message.attempt > policy.maxRetries) return this.#deadLetter(message, 'retries-exhausted', error);
    return this.#retry(message, delay ?? retryDelay(policy, message.attempt));
  }

  async #retry(message: IncomingMessage, delay: number): Promise<void> {
    this.#core.stats.retried++;
    if (this.#core.events.has('message.retried')) {
      this.#core.events.emit('message.retried', { ...this.describe(message), delay });
    }
    const block = this.#rules.retry.order === 'block';
    if (block) this.#hooks.holdBack(message);
    if (!this.#flow.returnable || this.#core.broker.capabilities.retryDelay === 'none') {
      // For subscriptions that leave nothing on the server, so have nothing there that could wait.
      return this.#waitHere(message, message.attempt + 1, delay, block);
    }
    const followers = block ? this.#takeFollowers(message) : [];
    try {
      if (!(await this.#flow.nack(message.loan, delay))) this.#leaseLost(message);
    } finally {
      // Some may have come while the nack was under way.
      if (block) followers.push(...this.#takeFollowers(message));
      await this.#flow.release(followers).finally(() => this.#hooks.settled(message));
    }
  }

  /** What came behind it of its key, whether it waits for its turn or for the end of an outage. */
  #takeFollowers(message: IncomingMessage): Delivery[] {
    const followers = this.#hooks.takeLane(message).map(({ loan }) => loan);
    return [...followers, ...this.#leaveRoom(this.#room.takeKey(message.record.key))];
  }

  /**
   * Takes away those that wait here for the end of an outage: others may have the time.
   *
   * @param only - of these alone
   */
  takeUntouched(only?: ReadonlySet<Delivery>): Delivery[] {
    return this.#leaveRoom(this.#room.takeUntouched(only));
  }

  #leaveRoom(waiting: readonly Waiting[]): Delivery[] {
    return waiting.map(({ message, keepsLane }) => {
      if (keepsLane) this.#hooks.abandonLane(message);
      return message.loan;
    });
  }

  async #release(message: IncomingMessage): Promise<void> {
    await this.#flow
      .release([message.loan, ...this.#takeFollowers(message)])
      .finally(() => this.#hooks.settled(message));
  }

  #waitHere(message: IncomingMessage, attempt: number, delay: number, keepsLane: boolean): void {
    if (this.#stopped) return;
    if (keepsLane) message.holdsLane = false;
    this.#hooks.settled(message);
    this.#hooks.heldUp();
    const due = (): void => {
      // Its handler nacked it and goes on: of its key one runs at a time.
      if (keepsLane && message.phase === 'handling')
        this.#room.add({ message, attempt, keepsLane }, HANDLER_WAIT, due);
      else this.#again(message, attempt, keepsLane);
    };
    this.#room.add({ message, attempt, keepsLane }, delay, due);
  }

  /** No handler has seen it, and none is to see it now: it takes its place in its key's lane again. */
  putBack(message: IncomingMessage): void {
    // What its middleware has published is published anew.
    this.staging.drop(message);
    this.#again(message, message.attempt, true);
  }

  #again({ loan, order }: IncomingMessage, attempt: number, heldLane: boolean): void {
    // Another one: whoever had this one may have kept it, and still run.
    const again = new IncomingMessage(loan, this);
    again.attempt = attempt;
    again.order = order;
    this.#hooks.again(again, heldLane);
  }

  /** Their leases are lost: somebody else retries them. */
  forget(deliveries: readonly Delivery[]): void {
    const waiting = deliveries.map((delivery) => this.#room.forget(delivery));
    this.#leaveRoom(waiting.filter((one) => one !== undefined));
  }

  async #deadLetter(message: IncomingMessage, reason: string, error: unknown): Promise<void> {
    const { deadLetter } = this.#rules;
    if (deadLetter === false) {
      this.#core.logger.error(
        { ...this.describe(message), reason, err: error },
        'message dropped: dead letters are off',
      );
      this.drop(message, reason);
      this.#flow.ack(message.loan);
      return this.#hooks.settled(message);
    }
    // A dead letter of a dead letter would go round for ever: it stays where it is and is tried again, rarely.
    if (message.topic === deadLetter.topic) return this.#retry(message, this.#rules.retry.maxDelay);
    const info: DeadLetterInfo = {
      reason,
      error: describeError(error),
      attempts: message.attempt,
      topic: message.topic,
      group: this.#rules.group,
      pattern: this.#rules.pattern,
      time: this.#core.clock.now(),
      messageId: message.id,
    };
    const record = toDeadLetter(message.record, info, deadLetter.topic);
    if (!(await this.#store(record, message))) return this.#hooks.settled(message);
    this.#flow.ack(message.loan);
    this.#core.stats.deadLettered++;
    this.#core.logger.warn({ ...this.describe(message), reason, err: error }, 'message dead-lettered');
    this.#core.events.emit('message.dead_lettered', {
      ...this.describe(message),
      reason,
      deadLetterId: record.id,
    });
    this.#hooks.settled(message);
  }

  /** Tries until it is stored. False when the bus closes before: the message then goes back, and comes again. */
  async #store(record: ReturnType<typeof toDeadLetter>, message: IncomingMessage): Promise<boolean> {
    for (let wait = STORE_RETRY.first; ; wait = Math.min(wait * 2, STORE_RETRY.longest)) {
      try {
        await this.#core.publisher.publish(record, () => undefined);
        return true;
      } catch (error) {
        this.#core.logger.error(
          { ...this.describe(message), err: error },
          'cannot store a dead letter, trying again',
        );
        this.#hooks.heldUp();
        await atMost(this.#core.clock, this.#stop.promise, wait);
        if (this.#stopped) {
          if (this.#flow.returnable) await this.#flow.nack(message.loan, 0).catch(() => false);
          return false;
        }
      }
    }
  }

  /** Reports a message that is given up. */
  drop(message: IncomingMessage, reason: string): void {
    this.#core.stats.dropped++;
    this.#core.events.emit('message.dropped', { ...this.describe(message), reason });
  }

  #track(settling: Promise<void>): Promise<void> {
    const settled = settling.catch((error: unknown) => {
      if (LeaseLostError.is(error)) throw error;
      // The lease runs out, and the message comes again.
      this.#core.logger.warn({ pattern: this.#rules.pattern, err: error }, 'a message could not be settled');
      throw error;
    });
    this.#pending.add(settled);
    const done = (): void => void this.#pending.delete(settled);
    settled.then(done, done);
    return settled;
  }

  readonly #stop = Promise.withResolvers<void>();

  /** No more waiting: retries that only this process knows are forgotten, dead letters get their last try. */
  async finish(): Promise<void> {
    this.#stopped = true;
    this.#stop.resolve();
    const untouched = this.#room.clear();
    // Where they cannot be given back their leases run out, and they come again.
    if (this.#flow.returnable) await this.#flow.release(untouched).catch(() => {});
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
  }
}
