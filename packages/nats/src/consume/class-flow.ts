import type { Incoming } from '../link/driver.ts';
import { classOf, isLane, type RecordClass, rankOf } from '../names.ts';
import { type ConsumerInfo, classConsumer, infoOf } from '../server/consumers.ts';
import type { Space } from '../server/space.ts';
import { placeOf } from '../wire/place.ts';
import { WireRecord } from '../wire/record.ts';
import { type Loan as AnyLoan, HELD, Loan } from './delivery.ts';
import { Flow, type FlowOwner } from './flow.ts';
import { Gathering } from './gathering.ts';
import { type Blocked, Lane, type LaneOwner } from './lane.ts';
import { Recall } from './recall.ts';
import { releasesOf } from './releases.ts';
import { Removed } from './removed.ts';
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

/** What was delivered before may be anywhere. */
const UNKNOWN = -1;

/** Numbers that are remembered of what nobody has seen. */
const MOST_MISSED = 10_000;

/** One class of a group's records: its consumer, what has come of it, and for a lane of keys the right to it. */
export class ClassFlow implements FlowOwner, LaneOwner {
  readonly recordClass: RecordClass;
  readonly rank: number;
  readonly consumer: string;
  readonly flow: Flow;
  readonly lane: Lane | undefined;
  /** All that is unsettled, with core or not. */
  readonly loans: Set<GroupLoan> = new Set();
  readonly #owner: ClassOwner;
  readonly #removed: Removed;
  /** Records that are known to wait at the server. */
  #backlog: number;
  /** When more was asked for, or came, for the last time. */
  #stirred: number = Date.now();
  /** Behind one whose attempt is being looked up. */
  #queue: Incoming[] = [];
  /** When the first of them came. */
  #queuedSince = 0;
  #looking: Promise<void> | undefined;
  #lookedUp: readonly Incoming[] = [];
  /** Times that everything was lost. */
  #losses = 0;
  /** How often what the server has sent was seen by nobody, by number: it counts that, and nobody else should. */
  readonly #missed = new Map<number, number>();
  /** Numbers of what a lane has given back and what has not come again. */
  readonly #returned = new Set<number>();
  /** The last number that came. */
  #top = 0;
  /** The number up to which that is all that may come out of order; undefined when it is all that was ever delivered. */
  #gap: number | undefined = UNKNOWN;
  /** Deliveries of the consumer before it was opened. */
  #earlier = 0;
  readonly #recall: Recall;
  /** What was called back, and was therefore delivered once more than anybody saw. */
  #called: readonly number[] = [];
  #isOpening = false;
  #isDraining = false;
  #isOver = false;
  #inherited = false;
  #gathering: Gathering | undefined;

  constructor(owner: ClassOwner, base: string, recordClass: RecordClass, backlog: number) {
    this.#owner = owner;
    this.#removed = new Removed(owner.space);
    this.recordClass = recordClass;
    this.rank = rankOf(recordClass);
    this.consumer = classConsumer(base, recordClass);
    this.flow = new Flow(owner.space, this.consumer, this, true);
    this.lane = isLane(recordClass) ? new Lane(owner.space, this.consumer, this) : undefined;
    this.#recall = new Recall(owner.space, this.consumer);
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
    return this.#queue.length + this.#lookedUp.length + (this.#gathering?.loans.length ?? 0);
  }

  /** Records that were delivered before, and without which nothing goes to core. */
  get owed(): number {
    return Math.max((this.#gathering?.owed ?? 0) - this.#queue.length - this.#lookedUp.length, 0);
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
        const info = await infoOf(this.#owner.space, this.consumer).catch(() => undefined);
        if ((await this.#calledBack(info)) && this.#mayOpen) {
          if (info !== undefined) {
            this.#earlier = info.delivered.consumer_seq;
            this.#gather(info);
          }
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

  /** Whether the server sends what was lost with a connection before all else; otherwise it is to be tried again. */
  async #calledBack(info: ConsumerInfo | undefined): Promise<boolean> {
    await this.#looking;
    if (!this.#recall.isDue) return true;
    if (info === undefined) return false;
    const [upTo, isKnown] = [this.#gap ?? this.#top, this.#gap !== UNKNOWN];
    const here = new Set([...this.loans].map(({ seq }) => seq));
    const { last: reply } = this.flow;
    const delivery = Math.max(this.#earlier, reply === '' ? 0 : placeOf(reply).delivery);
    const known = { upTo, here, returned: this.#returned, delivery, reply };
    const called = await this.#recall.callBack(info, known, this.ackWait);
    if (called === undefined || !this.#recall.isDue) return false;
    this.#recall.done();
    if (isKnown) {
      this.#called = called.filter((seq) => seq > upTo);
      for (const seq of this.#called) this.#miss(seq);
    }
    return true;
  }

  #gather({ num_ack_pending, delivered }: ConsumerInfo): void {
    const here = this.#gathering?.end() ?? [];
    const unsettled = num_ack_pending - this.loans.size;
    const isKnown = this.#gap === undefined;
    const missing = isKnown ? Math.min(unsettled, this.#returned.size) : unsettled;
    // What came before a break waits for what was lost with it.
    const late = (): void => {
      if (!this.#recall.isDue) this.#gathered();
    };
    this.#gathering = new Gathering(here, delivered.stream_seq, missing, isKnown, late);
    if (missing <= 0) this.#gathered();
  }

  /** What was delivered before is here; the rest is with somebody, or comes when it is due. */
  #gathered(): void {
    this.#gap = undefined;
    this.#returned.clear();
    for (const seq of this.#called) this.#missed.delete(seq);
    this.#called = [];
    this.#lineUp();
  }

  /** Brings what was gathered into line. */
  #lineUp(): void {
    const loans = this.#gathering?.end() ?? [];
    this.#gathering = undefined;
    for (const loan of loans) if (loan.state === HELD) this.#owner.turns.add(loan);
    if (loans.length > 0) this.#owner.changed();
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
    await this.#looking;
    this.#lineUp();
  }

  /** Ends at once, with what is on its way. */
  abandon(): void {
    if (this.lane?.isOwned === true && this.flow.outstanding > 0) this.#recall.isDue = true;
    this.#unsettle();
    this.flow.abandon();
  }

  /** What is delivered from now on may not come. */
  #unsettle(): void {
    const unread = [...this.#queue, ...this.#lookedUp].map(({ reply }) => placeOf(reply).seq);
    this.#gap ??= Math.max(this.#top, ...unread);
  }

  /** What was to go back to the server has not arrived there. */
  unreturned(): void {
    if (this.lane?.isOwned === true) this.#recall.isDue = true;
  }

  /** Ends for good. */
  stop(): void {
    this.#isOver = true;
    this.abandon();
  }

  missing(): void {
    this.#unsettle();
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
      if (delivered > 1) this.#miss(seq);
    }
    const { link } = this.#owner.space;
    // The process has slept: what lay in its socket may be somebody else's by now, and comes again.
    if (messages.length > 0 && Date.now() - link.lastTick > Math.max(this.ackWait / 2, 2_500)) {
      for (const { reply } of messages) this.#miss(placeOf(reply).seq);
      this.lane?.lose();
      return;
    }
    if (this.#looking !== undefined) {
      this.#wait(messages);
      return;
    }
    this.#accept(messages);
    this.#owner.changed();
  }

  #wait(messages: readonly Incoming[]): void {
    if (this.#queue.length === 0) this.#queuedSince = Date.now();
    this.#queue.push(...messages);
  }

  #miss(seq: number): void {
    // What comes again goes to another member at times, and is not heard of here any more.
    if (this.#missed.size >= MOST_MISSED) this.#missed.clear();
    this.#missed.set(seq, (this.#missed.get(seq) ?? 0) + 1);
  }

  #accept(messages: readonly Incoming[]): void {
    const now = Date.now();
    for (let at = 0; at < messages.length; at++) {
      const message = messages[at]!;
      const place = placeOf(message.reply);
      if (place.delivered > 1) {
        this.#wait(messages.slice(at));
        this.#looking = this.#lookUp();
        return;
      }
      this.#add(message, place, 1, now);
    }
  }

  #add(message: Incoming, place: ReturnType<typeof placeOf>, attempt: number, now: number): void {
    const { names, stream } = this.#owner.space;
    const topic = names.topicOf(message.subject);
    const { seq, delivered, time } = place;
    const record = new WireRecord(topic, 'durable', message, stream, seq, time);
    const loan = new Loan(record, message, this, this.rank, seq, delivered, attempt, now);
    this.#backlog = place.pending;
    this.#stirred = now;
    if (seq > this.#top) this.#top = seq;
    this.loans.add(loan);
    const isReturned = this.#returned.delete(seq);
    if (this.#gathering === undefined) this.#owner.turns.add(loan);
    else if (this.#gathering.add(loan, isReturned || this.#gap !== undefined)) this.#gathered();
  }

  /** Reads the attempts of what was delivered before; what came behind it keeps its place. */
  async #lookUp(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0);
      const losses = this.#losses;
      // Their leases began when they came.
      const since = this.#queuedSince;
      this.#lookedUp = batch;
      const places = batch.map(({ reply }) => placeOf(reply));
      const releases = await Promise.all(
        places.map(({ seq, delivered }) =>
          delivered > 1 ? releasesOf(this.#owner.space, this.consumer, seq) : 0,
        ),
      );
      this.#lookedUp = [];
      // Not its own any more.
      if (losses !== this.#losses) continue;
      for (const [at, message] of batch.entries()) {
        const place = places[at]!;
        const missed = this.#missed.get(place.seq) ?? 0;
        this.#missed.delete(place.seq);
        this.#add(message, place, Math.max(place.delivered - releases[at]! - missed, 1), since);
      }
    }
    this.#looking = undefined;
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
    if (this.lane !== undefined) this.#returned.add(loan.seq);
  }

  /** Whether it has anything that core does not. */
  get lent(): number {
    let lent = 0;
    for (const { state } of this.loans) if (state !== HELD) lent++;
    return lent;
  }

  blocked(): Blocked {
    return this.#owner.turns.blocked((key) => this.#isOf(key));
  }

  taken(blocked: Blocked, isBack: boolean): void {
    if (!isBack) this.#gap = UNKNOWN;
    for (const [key, seq] of blocked) this.#owner.turns.inherit(key, seq);
    this.#inherited = blocked.length > 0;
    if (!this.#owner.isPaused) this.open();
  }

  lost(): void {
    this.abandon();
    // It is waited for all of it before the lane is taken again.
    this.#recall.done();
    this.#gap = UNKNOWN;
    this.#queue = [];
    this.#losses++;
    this.#lineUp();
    const { turns } = this.#owner;
    this.takeHeld();
    this.#owner.lose([...this.loans]);
    turns.unblock((key) => this.#isOf(key));
  }

  /** Its consumer is not there any more: another flow takes its place. */
  gone(): void {
    this.#isOver = true;
    this.lost();
  }

  async isHeld(): Promise<boolean> {
    const info = await infoOf(this.#owner.space, this.consumer).catch(() => undefined);
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
    if (!this.#recall.isDue) return true;
    return this.#calledBack(await infoOf(this.#owner.space, this.consumer).catch(() => undefined));
  }

  undrained(): void {
    if (!this.#owner.isPaused) this.open();
  }

  /** Forgets what it was told to wait for and was settled before its old owner could say so. */
  async checkInherited(): Promise<void> {
    if (!this.#inherited || this.lane?.isOwned !== true) return;
    const before = new Set(this.loans);
    const info = await infoOf(this.#owner.space, this.consumer).catch(() => undefined);
    if (info === undefined) return;
    // Only those were unsettled for certain when the server counted.
    const held = [...this.loans].filter((loan) => before.has(loan)).length;
    const areAllHere = info.num_ack_pending <= held;
    const away = this.#blockedAway();
    const settled = away.filter(([, seq]) => areAllHere || seq <= info.ack_floor.stream_seq);
    this.#inherited = settled.length < away.length;
    this.#letGo(settled);
  }

  /** Lets keys go on whose nacked record was removed by somebody, or by the stream's own limits. */
  async checkRemoved(): Promise<void> {
    if (this.lane?.isOwned === true) this.#letGo(await this.#removed.among(this.#blockedAway()));
  }

  /** What blocks its key and waits at the server. */
  #blockedAway(): Blocked {
    const here = new Set([...this.loans].map(({ seq }) => seq));
    return this.blocked().filter(([, seq]) => !here.has(seq));
  }

  /** These will not come again. */
  #letGo(blocked: Blocked): void {
    if (blocked.length === 0) return;
    for (const [key, seq] of blocked) this.#owner.turns.gone(key, seq);
    this.#owner.changed();
  }

  /** The lane is somebody else's: what blocks its keys is that one's business. */
  forgetBlocked(): void {
    this.#owner.turns.unblock((key) => this.#isOf(key));
  }

  #isOf(key: string): boolean {
    return classOf({ key, priority: 2 }) === this.recordClass;
  }
}
