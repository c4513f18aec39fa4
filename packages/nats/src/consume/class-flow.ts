import type { Incoming } from '../link/driver.ts';
import { isLane, type RecordClass, rankOf } from '../names.ts';
import { type ConsumerInfo, classConsumer, infoOf } from '../server/consumers.ts';
import type { Space } from '../server/space.ts';
import { type Place, placeOf } from '../wire/place.ts';
import { WireRecord } from '../wire/record.ts';
import { Attempts, type AttemptsOwner } from './attempts.ts';
import { BlockedKeys } from './blocked-keys.ts';
import { type Loan as AnyLoan, HELD, Loan } from './delivery.ts';
import { Flow, type FlowOwner } from './flow.ts';
import { type Blocked, Lane, type LaneOwner } from './lane.ts';
import { Recovery } from './recovery.ts';
import type { Turns } from './turns.ts';

export type GroupLoan = AnyLoan<ClassFlow>;

/** Milliseconds that a lower rank waits for a higher one of which more is known to be on its way. */
const EXPECT = 150;

/** Milliseconds between two looks whether what was lost with a connection can be called back. */
const LOOK_AGAIN = 100;

/** What a class needs of its subscription. */
export interface ClassOwner {
  readonly space: Space;
  readonly id: string;
  readonly ackWait: number;
  readonly turns: Turns<GroupLoan>;
  readonly isPaused: boolean;
  /** Something has arrived, or may be asked for. */
  changed(): void;
  /** Records that core does not have go back to the server, uncounted. */
  giveBack(loans: readonly GroupLoan[]): Promise<void>;
  /** Their leases are gone. */
  lose(loans: readonly GroupLoan[]): void;
  missing(flow: ClassFlow): void;
}

/** One class of a group's records: its consumer, what has come of it, and for a lane of keys the right to it. */
export class ClassFlow implements FlowOwner, LaneOwner, AttemptsOwner {
  readonly recordClass: RecordClass;
  readonly rank: number;
  readonly consumer: string;
  readonly flow: Flow;
  readonly lane: Lane | undefined;
  /** All that is unsettled, with core or not. */
  readonly loans: Set<GroupLoan> = new Set();
  readonly #owner: ClassOwner;
  /** Records that are known to wait at the server. */
  #backlog: number;
  /** When more was asked for, or came, for the last time. */
  #stirred: number = Date.now();
  readonly #attempts: Attempts;
  readonly #recovery: Recovery;
  readonly #blocked: BlockedKeys;
  #isOpening = false;
  #isDraining = false;
  #isOver = false;

  constructor(owner: ClassOwner, base: string, recordClass: RecordClass, backlog: number) {
    this.#owner = owner;
    this.recordClass = recordClass;
    this.rank = rankOf(recordClass);
    this.consumer = classConsumer(base, recordClass);
    this.flow = new Flow(owner.space, this.consumer, this, true);
    this.lane = isLane(recordClass) ? new Lane(owner.space, this.consumer, this) : undefined;
    this.#attempts = new Attempts(owner.space, this.consumer, this);
    this.#recovery = new Recovery(owner, this.consumer, this.flow, this.loans, this.#attempts);
    this.#blocked = new BlockedKeys(owner, recordClass, this.consumer, this.loans);
    this.#backlog = backlog;
  }

  get id(): string {
    return this.#owner.id;
  }

  get ackWait(): number {
    return this.#owner.ackWait;
  }

  get isPaused(): boolean {
    return this.#owner.isPaused;
  }

  /** Whether it may ask for records. */
  get mayRun(): boolean {
    return this.lane === undefined || this.lane.isOwned;
  }

  /** Records that have arrived and are not yet in line. */
  get unread(): number {
    return this.#attempts.waiting + this.#recovery.kept;
  }

  /** Records that were delivered before, and without which nothing goes to core. */
  get owed(): number {
    return this.#recovery.owed;
  }

  open(): void {
    if (this.lane === undefined) this.#open();
    else if (this.lane.isOwned) void this.#openLane();
  }

  #open(): void {
    this.flow.open();
    this.#owner.changed();
  }

  async #openLane(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      while (this.#mayOpen) {
        const info = await this.#info();
        if ((await this.#recovery.callBack(info)) && this.#mayOpen) {
          if (info !== undefined) this.#recovery.gather(info);
          this.#open();
          return;
        }
        if (this.#mayOpen) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN).unref());
      }
    } finally {
      this.#isOpening = false;
    }
  }

  /** When the connection comes back it is opened anew. */
  get #mayOpen(): boolean {
    const { space, isPaused } = this.#owner;
    if (this.#isOver || this.#isDraining || isPaused || this.flow.isOpen) return false;
    return this.lane?.isOwned === true && space.link.canSend;
  }

  /** Whether more of it is about to arrive, which what is of lower rank should not overtake. */
  isExpecting(now: number): boolean {
    return this.#backlog > 0 && this.flow.outstanding > 0 && now - this.#stirred < EXPECT;
  }

  /** Sees to it that up to `count` records are asked for. */
  want(count: number): void {
    const { outstanding } = this.flow;
    this.flow.want(count);
    if (outstanding === 0 && this.flow.outstanding > 0) this.#stirred = Date.now();
  }

  /** Ends the flow; what had come is in line when it resolves. */
  async end(): Promise<void> {
    await this.flow.end();
    await this.#attempts.idle;
    this.#recovery.lineUp();
  }

  /** Ends at once, with what is on its way. */
  abandon(): void {
    if (this.lane?.isOwned === true && this.flow.outstanding > 0) this.#recovery.owes();
    this.#recovery.unsettle();
    this.flow.abandon();
  }

  /** What was to go back to the server has not arrived there. */
  unreturned(): void {
    if (this.lane?.isOwned === true) this.#recovery.owes();
  }

  /** Ends for good. */
  stop(): void {
    this.#isOver = true;
    this.abandon();
  }

  missing(): void {
    this.#recovery.unsettle();
    this.#owner.missing(this);
  }

  silent(): void {
    this.abandon();
    if (!this.#owner.isPaused) this.open();
    this.#owner.missing(this);
  }

  arrived(messages: readonly Incoming[], isAgain: boolean): void {
    for (const { reply } of isAgain ? messages : []) {
      const { seq, delivered } = placeOf(reply);
      if (delivered > 1) this.#attempts.miss(seq);
    }
    const { link } = this.#owner.space;
    // The process has slept: what lay in its socket may be somebody else's by now, and comes again.
    if (messages.length > 0 && Date.now() - link.lastTick > Math.max(this.ackWait / 2, 2_500)) {
      for (const { reply } of messages) this.#attempts.miss(placeOf(reply).seq);
      this.lane?.lose();
      return;
    }
    this.#attempts.read(messages);
    this.#owner.changed();
  }

  attemptKnown(message: Incoming, place: Place, attempt: number, since: number): void {
    const { names, stream } = this.#owner.space;
    const topic = names.topicOf(message.subject);
    const { seq, delivered, time } = place;
    const record = new WireRecord(topic, 'durable', message, stream, seq, time);
    const loan = new Loan(record, message, this, this.rank, seq, delivered, attempt, since);
    this.#backlog = place.pending;
    this.#stirred = since;
    this.loans.add(loan);
    this.#owner.space.trimmer.consumed(topic);
    this.#recovery.add(loan);
  }

  changed(): void {
    this.#owner.changed();
  }

  /** Takes what core does not have out of line. */
  takeHeld(): GroupLoan[] {
    const held = this.#owner.turns.extract((loan) => loan.origin === this);
    for (const loan of held) this.returns(loan);
    return held;
  }

  /** It goes back to the server. */
  returns(loan: GroupLoan): void {
    this.loans.delete(loan);
    if (this.lane !== undefined) this.#recovery.returns(loan);
  }

  /** Whether it has anything that core does not. */
  get lent(): number {
    let lent = 0;
    for (const { state } of this.loans) if (state !== HELD) lent++;
    return lent;
  }

  blocked(): Blocked {
    return this.#blocked.all;
  }

  taken(blocked: Blocked, isBack: boolean): void {
    if (!isBack) this.#recovery.forget();
    this.#blocked.inherit(blocked);
    if (!this.#owner.isPaused) this.open();
  }

  lost(): void {
    this.abandon();
    this.#recovery.giveUp();
    this.#attempts.drop();
    this.#recovery.lineUp();
    this.takeHeld();
    this.#owner.lose([...this.loans]);
    this.#blocked.forget();
  }

  /** Its consumer is not there any more: another flow takes its place. */
  gone(): void {
    this.#isOver = true;
    this.lost();
  }

  async isHeld(): Promise<boolean> {
    const info = await this.#info();
    return info === undefined || info.num_ack_pending > 0;
  }

  async drain(): Promise<boolean> {
    this.#isDraining = true;
    try {
      await this.end();
      await this.#owner.giveBack(this.takeHeld());
      return this.loans.size === 0 && (await this.#isWhole());
    } finally {
      this.#isDraining = false;
    }
  }

  /** Leaves the lane to others; at once, if nothing of it has to come by itself. */
  async free(): Promise<void> {
    if (await this.#isWhole()) await this.lane?.free();
  }

  async #isWhole(): Promise<boolean> {
    return !this.#recovery.isDue || this.#recovery.callBack(await this.#info());
  }

  #info(): Promise<ConsumerInfo | undefined> {
    return infoOf(this.#owner.space, this.consumer).catch(() => undefined);
  }

  undrained(): void {
    if (!this.#owner.isPaused) this.open();
  }

  /** Lets keys go on that wait for what will not come again. */
  async checkBlocked(): Promise<void> {
    if (this.lane?.isOwned === true) await this.#blocked.checkInherited();
    if (this.lane?.isOwned === true) await this.#blocked.checkRemoved();
  }
}
