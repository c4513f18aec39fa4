import type { Delivery } from '../broker.ts';
import { atMost } from '../clock.ts';
import type { Core } from '../core.ts';
import { consumerId } from '../dead-letter/record.ts';
import type { BusRecord } from '../envelope/record.ts';
import { type BusError, ClosedError, LeaseLostError } from '../errors.ts';
import { Settler } from '../settlement/settler.ts';
import { rememberingMatcher } from '../topic/pattern.ts';
import { Flow } from './flow.ts';
import { IncomingMessage } from './message.ts';
import { settlerOf } from './outcomes.ts';
import type { ConsumerPlan } from './plan.ts';
import { Runner } from './runner.ts';

/** Messages whose ack may not have arrived are remembered, this many at most, so that a repetition is not handled again. */
const REMEMBERED_ACKS = 10_000;

/** Milliseconds that aborted handlers get to end. */
const ABORT_GRACE = 1_000;

/**
 * Milliseconds that the broker gets to answer each of the last calls: it may hold them while its connection is down. What
 * is not answered by then comes again.
 */
const SETTLE_GRACE = 5_000;

type PauseReason = 'user' | 'breaker' | 'closing';

/** What tells a message that was handled from another one of its id. */
interface Handled {
  readonly topic: string;
  readonly attempt: number;
  readonly target: string | undefined;
}

/** One subscription at work: takes deliveries in, has them handled and settled, pauses, and leaves in good order. */
export class Consumer {
  readonly plan: ConsumerPlan;
  readonly #core: Core;
  readonly #runner: Runner;
  readonly #flows: { readonly flow: Flow; readonly settler: Settler }[];
  readonly #paused = new Set<PauseReason>();
  readonly #matches: (topic: string) => boolean;
  readonly #id: string;
  /** By id: messages of which it is not known whether their acks arrived. */
  readonly #handledBefore = new Map<string, Handled>();
  #room: number | undefined;
  #aborting = false;
  #closing: Promise<void> | undefined;
  /** Handlers have had their time to end. */
  readonly #hurried = Promise.withResolvers<void>();
  #stopped: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(plan: ConsumerPlan, core: Core) {
    this.plan = plan;
    this.#core = core;
    this.#room = plan.room;
    this.#id = consumerId(plan.pattern, plan.group);
    this.#matches = rememberingMatcher(plan.pattern);
    this.#runner = new Runner(plan, core, {
      mayRun: () => this.#mayRun(),
      // What cannot be given back is still handled before the end.
      mustWait: (message) => this.#paused.size > 0 && (!this.closed || settlerOf(message).returnable),
      breakerOpened: () => void this.#pause('breaker').catch(() => {}),
      breakerHalfOpened: () => this.#resume('breaker'),
    });
    this.#flows = plan.channels.map((channel) => this.#newFlow(channel));
  }

  /** Handlers that run now. */
  get running(): number {
    return this.#runner.handling;
  }
  get waiting(): number {
    return this.#runner.scheduler.waiting;
  }
  /** Messages that handlers have or had, and that are not settled. */
  get unsettled(): number {
    return this.#runner.deadlines.running().length;
  }
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Resolves when everything published from now on arrives. */
  async open(): Promise<void> {
    await Promise.all(
      this.#flows.map(async ({ flow }) => {
        const subscription = await this.#core.broker.subscribe(flow.source, flow);
        // Given up meanwhile: nobody would ever close it.
        if (this.closed) await subscription.close();
        else flow.attach(subscription);
      }),
    );
  }

  #newFlow(channel: ConsumerPlan['channels'][number]): { flow: Flow; settler: Settler } {
    const { pattern, group, from, prefetch, room, retry, transaction } = this.plan;
    const flow: Flow = new Flow(
      { pattern, channel, group, from, prefetch, room, order: retry.order, transaction },
      {
        delivered: (deliveries) => this.#delivered(deliveries, flow, settler),
        lost: (deliveries) => this.#lost(deliveries, settler),
        recalled: (deliveries) => this.#recalled(deliveries, flow, settler),
        failed: (error) => this.#failed(error),
        acked: (acks, refused) => this.#acked(acks, refused, settler),
        ackUnknown: (deliveries, error) => this.#ackUnknown(deliveries, error),
      },
    );
    const { scheduler, deadlines } = this.#runner;
    const settler: Settler = new Settler(flow, this.plan, this.#core, {
      settled: (message) => this.#runner.settled(message),
      holdBack: (message) => this.#runner.holdBack(message),
      takeLane: (message) => {
        const lane = scheduler.takeLane(message);
        // Of its key, but of another flow: not this one's to give back.
        for (const other of lane) if (other.owner !== settler) scheduler.add(other);
        return lane.filter((other) => other.owner === settler);
      },
      again: (message, heldLane) => {
        if (this.#paused.size > 0 && flow.returnable) {
          // Due while nothing may run here: others may have the time.
          if (heldLane) scheduler.laneFreed(message);
          const untouched = message.attempt === message.loan.attempt;
          if (untouched) this.#release(flow, [message.loan, ...settler.takeUntouched()]);
          else flow.nack(message.loan, 0).catch(() => {});
          return;
        }
        if (heldLane) scheduler.again(message);
        else scheduler.add(message);
        scheduler.pump();
      },
      // Its handler's slot is freed a step later.
      heldUp: () => queueMicrotask(() => this.#makeRoom(flow)),
      extend: (message, duration) => deadlines.extend(message, duration),
      abandonLane: (message) => {
        scheduler.laneFreed(message);
        scheduler.pump();
      },
      isOfTheEnd: (error) => this.#aborting || (this.closed && ClosedError.is(error)),
    });
    return { flow, settler };
  }

  // ---- taking in ----------------------------------------------------------------------------------------------------

  #delivered(deliveries: readonly Delivery[], flow: Flow, settler: Settler): void {
    this.#core.stats.delivered += deliveries.length;
    if (this.#paused.size > 0 && flow.returnable) {
      // It was on its way when the pause began.
      this.#release(flow, deliveries);
      return;
    }
    const { scheduler } = this.#runner;
    for (const delivery of deliveries) {
      if (!this.#isMine(delivery.record)) {
        flow.ack(delivery);
        continue;
      }
      const message = new IncomingMessage(delivery, settler);
      // It begins anew: a replay, or another message of the same id.
      if (message.attempt === 1 && this.#handledBefore.size > 0) this.#handledBefore.delete(message.id);
      if (message.attempt > 1 && !this.#isWorthAnotherTry(message, settler)) continue;
      scheduler.add(message);
    }
    scheduler.pump();
    // They wait for their keys.
    if (scheduler.waiting > 0) this.#makeRoom(flow);
  }

  /** What is here and cannot run must not keep others out. */
  #makeRoom(flow: Flow): void {
    if (this.#room !== undefined && this.#mayRun()) flow.resume(undefined);
  }

  #mayRun(): boolean {
    return this.#paused.size === 0 && (this.plan.mayRun?.(this.running) ?? true);
  }

  /** The broker may deliver more than the pattern says, and a replay is for one consumer only. */
  #isMine(record: BusRecord): boolean {
    if (!this.#matches(record.topic)) return false;
    const target = record.extensions?.target;
    return target === undefined || target === this.#id;
  }

  #isWorthAnotherTry(message: IncomingMessage, settler: Settler): boolean {
    if (this.#wasHandled(message.loan)) {
      settler.done(message);
      return false;
    }
    // A message that takes its consumer's process down never gets as far as a retry policy; this is where it ends. A dead
    // letter has nowhere to go from here: it is tried again and again.
    const { group, deadLetter } = this.plan;
    const isDeadLetter = deadLetter !== false && message.topic === deadLetter.topic;
    if (group !== undefined && !isDeadLetter && message.attempt > settler.policy(message).maxRetries + 1) {
      settler.hopeless(
        message,
        'retries-exhausted',
        new Error('delivered more often than the retry policy allows'),
      );
      return false;
    }
    return true;
  }

  #wasHandled({ record, attempt }: Delivery): boolean {
    const before = this.#handledBefore.get(record.id);
    if (before === undefined || attempt < before.attempt) return false;
    const isSame = record.topic === before.topic && record.extensions?.target === before.target;
    return isSame && this.#handledBefore.delete(record.id);
  }

  // ---- what goes wrong ----------------------------------------------------------------------------------------------

  #lost(deliveries: readonly Delivery[], settler: Settler): void {
    const { deadlines, scheduler } = this.#runner;
    const lost = new Set(deliveries);
    const isLost = (message: IncomingMessage): boolean => lost.has(message.loan);
    // Those that wait first, or they would start where the others free their lanes.
    for (let message = scheduler.find(isLost); message; message = scheduler.find(isLost))
      scheduler.take(message);
    const running = deadlines.running().filter(isLost);
    for (const message of running) {
      message.isLost = true;
      this.#core.stats.leasesLost++;
      this.#core.events.emit('lease.lost', { ...settler.describe(message), reason: 'expired' });
      message.abort(
        new LeaseLostError(`the lease of message ${message.id} ran out`, { topic: message.topic }),
      );
    }
    for (const message of running) {
      if (message.phase === 'handled') deadlines.end(message);
      this.#runner.freeLane(message);
    }
    settler.forget(deliveries);
    scheduler.pump();
  }

  /** Others may have the time for those that still wait here. */
  #recalled(deliveries: readonly Delivery[], flow: Flow, settler: Settler): void {
    const { scheduler } = this.#runner;
    const recalled = new Set(deliveries);
    const untouched: Delivery[] = [];
    for (const message of scheduler.takeAll()) {
      if (recalled.has(message.loan)) untouched.push(message.loan);
      else scheduler.add(message);
    }
    // Behind them, or these would start where those free their lanes.
    this.#release(flow, [...settler.takeUntouched(recalled), ...untouched]);
    scheduler.pump();
  }

  #acked(acks: readonly Delivery[], refused: readonly Delivery[], settler: Settler): void {
    this.#core.stats.acked += acks.length - refused.length;
    if (this.plan.transaction) settler.staging.committed(acks, refused);
    for (const delivery of refused) {
      this.#core.stats.leasesLost++;
      const event = { ...settler.describe(new IncomingMessage(delivery, settler)), reason: 'late' } as const;
      this.#core.logger.warn(event, 'an ack was refused: the message may be handled twice');
      this.#core.events.emit('lease.lost', event);
    }
  }

  #ackUnknown(deliveries: readonly Delivery[], error: unknown): void {
    const { pattern } = this.plan;
    this.#core.logger.warn({ pattern, count: deliveries.length, err: error }, 'acks may not have arrived');
    // What such a handler published may not be there either: it has to run again.
    if (this.plan.transaction) return;
    for (const { record, attempt } of deliveries) {
      if (this.#handledBefore.size >= REMEMBERED_ACKS) {
        const [eldest] = this.#handledBefore.keys();
        this.#handledBefore.delete(eldest!);
      }
      const { id, topic, extensions } = record;
      this.#handledBefore.set(id, { topic, attempt, target: extensions?.target });
    }
  }

  #failed(error: BusError): void {
    if (this.#hasFailed || this.closed) return;
    this.#hasFailed = true;
    const { pattern, group } = this.plan;
    this.#core.logger.error({ pattern, group, err: error }, 'subscription ended');
    this.#core.events.emit('subscription.failed', { pattern, group, error });
    this.plan.onFailed?.(error);
  }

  // ---- pausing and ending -------------------------------------------------------------------------------------------

  /** No further handler starts. Resolves when nothing more is fetched and what was prefetched is given back. */
  pause(): Promise<void> {
    return this.#pause('user');
  }

  /** @param room - for how many more deliveries than are unsettled now; all of the prefetch where it is missing */
  resume(room?: number): void {
    this.#room = room;
    if (this.#paused.size > 0) this.#resume('user');
    else if (room !== undefined) for (const { flow } of this.#flows) flow.resume(room);
    this.#runner.scheduler.pump();
  }

  async #pause(reason: PauseReason): Promise<void> {
    this.#paused.add(reason);
    // In this order: what is given back must not come again right here.
    const paused = Promise.all(this.#flows.map(({ flow }) => flow.pause()));
    this.#giveBack();
    await paused;
    if (this.#paused.has(reason)) this.#giveBack();
  }

  #resume(reason: PauseReason): void {
    if (!this.#paused.delete(reason) || this.#paused.size > 0) return;
    for (const { flow } of this.#flows) flow.resume(this.#room);
    this.#runner.scheduler.pump();
  }

  /** Others may have the time for what waits here; where the broker cannot take it back, it stays. */
  #giveBack(): void {
    const { scheduler } = this.#runner;
    const waiting = scheduler.takeAll();
    for (const { flow, settler } of this.#flows) {
      if (!flow.returnable) continue;
      const own = waiting.filter(({ owner }) => owner === settler).map(({ loan }) => loan);
      this.#release(flow, [...settler.takeUntouched(), ...own]);
    }
    if (this.closed) return;
    for (const message of waiting) if (!settlerOf(message).returnable) scheduler.add(message);
  }

  #release(flow: Flow, deliveries: readonly Delivery[]): void {
    flow.release(deliveries).catch((error: unknown) => {
      // Their leases run out, and they come again.
      this.#core.logger.warn(
        { pattern: this.plan.pattern, err: error },
        'prefetched messages could not be given back',
      );
    });
  }

  /**
   * Stops fetching and gives back what was prefetched; then waits for running handlers, up to `timeout` milliseconds,
   * aborts those that still run, settles, and leaves. The returned promise is the same for all callers: the one with the
   * least time counts.
   */
  close(timeout: number): Promise<void> {
    if (this.#closing === undefined) this.#closing = this.#close(timeout);
    else this.#hurry(timeout);
    return this.#closing;
  }

  #hurry(timeout: number): void {
    if (timeout === Number.POSITIVE_INFINITY) return;
    const timer = this.#core.clock.setTimeout(this.#hurried.resolve, timeout);
    const done = (): void => this.#core.clock.clearTimeout(timer);
    this.#closing?.then(done, done);
  }

  /** After `close` was called: resolves when no further handler will start and what was prefetched is given back. */
  stopped(): Promise<void> {
    return this.#stopped;
  }

  async #close(timeout: number): Promise<void> {
    const stopping = this.#pause('closing').then(() => this.#leave());
    this.#stopped = atMost(this.#core.clock, stopping, SETTLE_GRACE).catch(() => {});
    await this.#stopped;
    await Promise.race([this.#idle(timeout), this.#hurried.promise]);
    this.#aborting = true;
    const error = new ClosedError('the bus was closed before the message was settled');
    for (const message of this.#runner.deadlines.running()) message.abort(error);
    await this.#idle(ABORT_GRACE);
    for (const message of this.#runner.deadlines.running()) {
      this.#runner.deadlines.end(message);
      settlerOf(message).failed(message, error);
      message.isLost = true;
    }
    const settled = this.#flows.map(({ flow, settler }) => settler.finish().then(() => flow.settled()));
    await atMost(this.#core.clock, Promise.all(settled), SETTLE_GRACE);
    this.#runner.stop();
    await atMost(this.#core.clock, Promise.all(this.#flows.map(({ flow }) => flow.close())), SETTLE_GRACE);
  }

  /** Live subscriptions and responders are gone from the server before their handlers end: a request goes to another. */
  async #leave(): Promise<void> {
    const live = this.#flows.filter(({ flow }) => !flow.returnable);
    await Promise.all(live.map(({ flow }) => flow.leave()));
  }

  /** Resolves when no handler runs, or after `timeout` milliseconds. */
  async #idle(timeout: number): Promise<void> {
    const idle = this.#runner.idle();
    if (this.running === 0 || timeout === Number.POSITIVE_INFINITY) return idle;
    await atMost(this.#core.clock, idle, timeout);
  }
}
