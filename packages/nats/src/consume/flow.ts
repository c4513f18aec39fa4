import type { DriverSubscription, Incoming } from '../link/driver.ts';
import type { Space } from '../server/space.ts';
import { serverHeader, statusOf } from '../wire/headers.ts';

/** Nanoseconds that a request waits at the server before it is made anew. */
const EXPIRES = 30e9;
/** Nanoseconds between two signs of life of a request that waits. */
const HEARTBEAT = 5e9;
/** Milliseconds without one after which the request is taken for lost. */
const SILENCE = 12_000;
/** Milliseconds before a consumer that is moving to another server is asked again. */
const PAUSE = 150;

/** Who gets what a flow brings. */
export interface FlowOwner {
  arrived(messages: readonly Incoming[]): void;
  /** The consumer, or its stream, was not found, or nothing is heard of it. */
  missing(): void;
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
  #batch: Incoming[] = [];
  #round = 0;

  constructor(space: Space, consumer: string, owner: FlowOwner) {
    this.#space = space;
    this.#consumer = consumer;
    this.#owner = owner;
  }

  get isOpen(): boolean {
    return this.#subscription !== undefined;
  }

  /** Begins; what was asked for before is forgotten. */
  open(): void {
    this.abandon();
    const { link } = this.#space;
    const round = ++this.#round;
    this.#inbox = `${link.inbox}.f.${nextInbox()}`;
    this.#subscription = link.subscribe(this.#inbox, undefined, (message) => this.#take(message, round));
  }

  /** Sees to it that up to `count` records are asked for. */
  want(count: number): void {
    const { link, stream } = this.#space;
    // Half of the window at a time: a request for each record would cost as much as the record.
    if (this.#subscription === undefined || this.outstanding * 2 > count || count <= 0 || !link.canSend)
      return;
    const batch = count - this.outstanding;
    if (this.outstanding === 0) this.#heard = Date.now();
    this.outstanding += batch;
    const root = link.settings.domain === undefined ? '$JS.API' : `$JS.${link.settings.domain}.API`;
    link.send(
      `${root}.CONSUMER.MSG.NEXT.${stream}.${this.#consumer}`,
      `{"batch":${batch},"expires":${EXPIRES},"idle_heartbeat":${HEARTBEAT}}`,
      this.#inbox,
    );
  }

  tick(now: number): void {
    if (this.outstanding === 0 || now - this.#heard < SILENCE || !this.#space.link.canSend) return;
    this.open();
    this.#owner.missing();
  }

  /** Ends at once; what is on its way is lost to us, and comes again when its lease has run out. */
  abandon(): void {
    this.#round++;
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    this.outstanding = 0;
  }

  /** Ends; all that the server had sent has been handed over when it resolves. */
  async end(): Promise<void> {
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    this.#subscription = undefined;
    this.outstanding = 0;
    if (this.#space.link.canSend) await subscription.drain().catch(() => {});
    else subscription.unsubscribe();
    this.#handOver();
  }

  #take(message: Incoming, round: number): void {
    if (round !== this.#round) return;
    this.#heard = Date.now();
    if (message.reply !== '') {
      if (this.outstanding > 0) this.outstanding--;
      if (this.#batch.push(message) === 1) queueMicrotask(this.#handOver);
      return;
    }
    const status = message.head === undefined ? undefined : statusOf(message.head);
    if (status === undefined || status.code === 100) return;
    this.#refused(status.code, status.text, message.head!);
  }

  #refused(code: number, text: string, head: Uint8Array): void {
    const left = Number(serverHeader(head, 'Nats-Pending-Messages') ?? Number.NaN);
    if (code === 503 || /deleted/i.test(text)) {
      this.outstanding = 0;
      this.#owner.missing();
    } else if (code === 408 || code === 404) {
      this.outstanding = Number.isNaN(left) ? 0 : Math.max(this.outstanding - left, 0);
      this.#owner.arrived([]);
    } else {
      this.outstanding = 0;
      setTimeout(() => this.#owner.arrived([]), PAUSE).unref();
    }
  }

  readonly #handOver = (): void => {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#owner.arrived(batch);
  };
}

let inboxes = 0;
const nextInbox = (): string => (inboxes++).toString(36);
