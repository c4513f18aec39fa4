import type { DriverSubscription, Incoming } from '../link/driver.ts';
import { infoOf } from '../server/consumers.ts';
import { NANOSECONDS, type Space } from '../server/space.ts';
import { serverHeader, statusOf } from '../wire/headers.ts';
import { placeOf } from '../wire/place.ts';

/**
 * Share of the lease that a request waits at the server before it is made anew. A connection that swallows everything has
 * its requests there for as long, and each record that is sent to them counts as delivered: it must not be for many leases.
 */
const EXPIRES = 1 / 4;
/** Share of that between two signs of life of a request that waits, and the most; nanoseconds. */
const HEARTBEAT = 1 / 3;
const LONGEST_HEARTBEAT = 5e9;
/** Nanoseconds that a request waits at a server of a cluster. */
const SOON = 2.5e8;
/** Milliseconds that the end of one may be late. */
const LATE = 500;
/** Milliseconds without one after which the request is taken for lost. */
const SILENCE = 12_000;
/** The same in a cluster, where a request to a consumer that was deleted meets nobody who would say so. */
const SHORT_SILENCE = 2_500;
/** Milliseconds before a consumer that is moving to another server is asked again. */
const PAUSE = 150;

/** Milliseconds that a server alone may take to send what was asked for, and between two looks whether it has. */
const CATCH_UP = 1_000;
const ON_ITS_WAY = 20;
/** Milliseconds in which it sends again what it has sent to nobody, and the most that this can have been: more went to others. */
const AGAIN = 100;
const MOST_MISSED = 64;

/** Who gets what a flow brings. */
export interface FlowOwner {
  /** @param isAgain - whether the server has just sent them to nobody, and counts that */
  arrived(messages: readonly Incoming[], isAgain: boolean): void;
  /** The consumer, or its stream, was not found. */
  missing(): void;
  /** Nothing is heard of what was asked for: it is to be asked again, and where the consumer is. */
  silent(): void;
}

/** Records of one consumer, asked for by count. */
export class Flow {
  readonly #space: Space;
  readonly #consumer: string;
  readonly #owner: FlowOwner;
  #subscription: DriverSubscription | undefined;
  #inbox = '';
  /** Records that were asked for and have not come. */
  outstanding = 0;
  #heard = 0;
  /** Where the record is settled that came last. */
  #last = '';
  /** Deliveries of the consumer before which none is on its way. */
  #settled = 0;
  #isFetching = false;
  #batch: Incoming[] = [];
  #round = 0;
  /** Rounds whose last records are on their way. */
  readonly #draining = new Set<number>();
  #ending: PromiseWithResolvers<void> | undefined;
  readonly #isLeased: boolean;
  readonly #stream: string;

  /** @param isLeased - whether what is sent to nobody is missed until its lease has run out */
  constructor(
    space: Space,
    consumer: string,
    owner: FlowOwner,
    isLeased: boolean,
    stream: string = space.stream,
  ) {
    this.#stream = stream;
    this.#space = space;
    this.#consumer = consumer;
    this.#owner = owner;
    this.#isLeased = isLeased;
  }

  /**
   * In a cluster the server that leads the consumer hears a moment late that nobody listens any more, and what it sent
   * meanwhile has gone to nobody. So there a flow ends with its requests, and those are short.
   */
  get #endsWithRequests(): boolean {
    return this.#isLeased && this.#space.link.driver.isClustered;
  }

  /** Where records are asked for. */
  get requests(): string {
    const { domain } = this.#space.link.settings;
    const root = domain === undefined ? '$JS.API' : `$JS.${domain}.API`;
    return `${root}.CONSUMER.MSG.NEXT.${this.#stream}.${this.#consumer}`;
  }

  get isOpen(): boolean {
    return this.#subscription !== undefined && this.#ending === undefined;
  }

  /** Begins, or goes on where it was about to end. */
  open(): void {
    if (this.#ending === undefined) this.#begin();
    else this.#keepOn();
  }

  /** Nobody waits for its end any more. */
  #keepOn(): void {
    this.#isFetching = false;
    const ending = this.#ending;
    this.#ending = undefined;
    ending?.resolve();
  }

  /** What was asked for before is forgotten. */
  #begin(): void {
    this.abandon();
    const { link } = this.#space;
    const round = ++this.#round;
    this.#inbox = `${link.inbox}.f.${nextInbox()}`;
    this.#subscription = link.subscribe(this.#inbox, undefined, (message) => this.#take(message, round));
  }

  /** Sees to it that up to `count` records are asked for. */
  want(count: number): void {
    const { link } = this.#space;
    // Half of the window at a time: a request for each record would cost as much as the record.
    if (this.#subscription === undefined || this.#ending !== undefined) return;
    if (this.outstanding * 2 > count || count <= 0 || !link.canSend) return;
    const batch = count - this.outstanding;
    const expires = Math.max(Math.round(link.settings.lease * EXPIRES * NANOSECONDS), SOON);
    const heartbeat = Math.min(Math.round(expires * HEARTBEAT), LONGEST_HEARTBEAT);
    this.#ask(
      batch,
      this.#endsWithRequests ? `"expires":${SOON}` : `"expires":${expires},"idle_heartbeat":${heartbeat}`,
    );
  }

  #ask(batch: number, terms: string): void {
    if (this.outstanding === 0) this.#heard = Date.now();
    this.outstanding += batch;
    this.#space.link.send(this.requests, `{"batch":${batch},${terms}}`, this.#inbox);
  }

  tick(now: number): void {
    const silence = this.#endsWithRequests ? SHORT_SILENCE : SILENCE;
    if (this.outstanding === 0 || now - this.#heard < silence || !this.#space.link.canSend) return;
    this.#owner.silent();
  }

  /** Where the record is settled that came last; empty when none did. */
  get last(): string {
    return this.#last;
  }

  /** Ends at once; what is on its way is lost to us, and comes again when its lease has run out. */
  abandon(): void {
    this.#round++;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.outstanding = 0;
    this.#keepOn();
  }

  /** Ends; all that the server had sent has been handed over when it resolves. */
  async end(): Promise<void> {
    if (this.#subscription === undefined) return;
    if (this.#isLeased && !(await this.#drained())) return;
    if (this.#subscription === undefined) return;
    const mayMiss = this.#isLeased && this.outstanding > 0 && !this.#endsWithRequests;
    await this.#stop(this.#subscription);
    if (mayMiss) await this.#fetchMissed();
  }

  async #stop(subscription: DriverSubscription): Promise<void> {
    this.#subscription = undefined;
    this.#ending = undefined;
    this.outstanding = 0;
    if (this.#space.link.canSend) {
      // Also when it is begun anew meanwhile.
      const round = this.#round;
      this.#draining.add(round);
      await subscription.drain().catch(() => {});
      this.#draining.delete(round);
    } else {
      subscription.unsubscribe();
    }
    this.#handOver();
  }

  /**
   * A request cannot be withdrawn, and what is stored in the moment in which nobody listens for it any more may be sent to
   * nobody. The server counts that, and sends it again to whoever asks next.
   */
  async #fetchMissed(): Promise<void> {
    const info = await infoOf(this.#space, this.#consumer).catch(() => undefined);
    // Where somebody else asks, it is with them already.
    if (info === undefined || info.num_waiting > 0 || this.#subscription !== undefined) return;
    const missed = info.delivered.consumer_seq - Math.max(this.#settled, this.#lastDelivery);
    if (missed <= 0 || missed > MOST_MISSED || !this.#space.link.canSend) return;
    this.#begin();
    const ending = Promise.withResolvers<void>();
    this.#ending = ending;
    this.#isFetching = true;
    this.#ask(missed, `"expires":${AGAIN * NANOSECONDS}`);
    await soon(ending.promise, AGAIN + LATE);
    // Nothing more is on its way: there is no request.
    if (this.#ending === ending && this.#subscription !== undefined) await this.#stop(this.#subscription);
    this.#isFetching = false;
  }

  get #lastDelivery(): number {
    return this.#last === '' ? 0 : placeOf(this.#last).delivery;
  }

  /**
   * What the server is about to send when a flow ends counts as delivered, although nobody gets it. So what was asked for
   * is waited for first.
   *
   * @returns whether the flow is still to end
   */
  async #drained(): Promise<boolean> {
    if (this.outstanding === 0 || !this.#space.link.canSend) return true;
    this.#ending ??= Promise.withResolvers();
    const ending = this.#ending;
    if (this.#endsWithRequests) await soon(ending.promise, SOON / NANOSECONDS + LATE);
    else await this.#caughtUp(ending);
    return this.#ending === ending;
  }

  /** Resolves when the server has nothing to send that it has not sent. */
  async #caughtUp(ending: PromiseWithResolvers<void>): Promise<void> {
    const end = Date.now() + CATCH_UP;
    while (this.#ending === ending && this.outstanding > 0 && Date.now() < end) {
      const info = await infoOf(this.#space, this.#consumer).catch(() => undefined);
      if (info === undefined) return;
      if (info.num_pending === 0) {
        // Unless it has sent nothing but what is here, the last of it may be on its way, to us or to another member.
        if (info.delivered.consumer_seq > this.#lastDelivery) await soon(ending.promise, ON_ITS_WAY);
        this.#settled = info.delivered.consumer_seq;
        return;
      }
      await soon(ending.promise, ON_ITS_WAY);
    }
  }

  #take(message: Incoming, round: number): void {
    const isCurrent = round === this.#round;
    if (isCurrent) this.#heard = Date.now();
    else if (message.reply === '' || !this.#draining.has(round)) return;
    if (message.reply !== '') {
      this.#last = message.reply;
      if (isCurrent && this.outstanding > 0 && --this.outstanding === 0) this.#ending?.resolve();
      if (this.#batch.push(message) === 1) queueMicrotask(this.#handOver);
      return;
    }
    const status = message.head === undefined ? undefined : statusOf(message.head);
    if (status === undefined || status.code === 100) return;
    this.#refused(status.code, status.text, message.head!);
  }

  #refused(code: number, text: string, head: Uint8Array): void {
    this.#forget(code, text, head);
    if (this.outstanding === 0) this.#ending?.resolve();
  }

  #forget(code: number, text: string, head: Uint8Array): void {
    const left = Number(serverHeader(head, 'Nats-Pending-Messages') ?? Number.NaN);
    if (code === 503 || /deleted/i.test(text)) {
      this.outstanding = 0;
      this.#owner.missing();
    } else if (code === 408 || code === 404) {
      this.outstanding = Number.isNaN(left) ? 0 : Math.max(this.outstanding - left, 0);
      this.#owner.arrived([], false);
    } else {
      this.outstanding = 0;
      setTimeout(() => this.#owner.arrived([], false), PAUSE).unref();
    }
  }

  readonly #handOver = (): void => {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#owner.arrived(batch, this.#isFetching);
  };
}

/** Resolves with `done`, or after `time` milliseconds. */
export async function soon(done: Promise<unknown>, time: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    done,
    new Promise((resolve) => {
      timer = setTimeout(resolve, time);
    }),
  ]);
  clearTimeout(timer);
}

let inboxes = 0;
const nextInbox = (): string => (inboxes++).toString(36);
