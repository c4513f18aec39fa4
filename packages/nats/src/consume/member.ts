import type { BrokerSubscription, BusError, Delivery, Sink, Source } from '@ambus/core';
import { nuid } from 'nats';
import type { LinkListener } from '../link/contracts.ts';
import type { RecordClass } from '../names.ts';
import type { ConsumerInfo } from '../server/consumers.ts';
import type { Space } from '../server/space.ts';
import type { ClassFlow, GroupLoan } from './class-flow.ts';
import { Company } from './company.ts';
import { ACKED, GONE, HELD, LENT } from './delivery.ts';
import { giveBackLoans, inOrder, settleLoans, sortOut } from './leases.ts';
import { RecentAcks } from './recent-acks.ts';
import { forgetReleases } from './releases.ts';
import { ACK, NAK, nakWithDelay, sendSettlements } from './settle.ts';
import { Standing, type StandingOwner } from './standing.ts';
import { Turns } from './turns.ts';
import { Upkeep } from './upkeep.ts';
import { demand, LOWEST, lowestRank } from './window.ts';

const NONE: readonly Delivery[] = [];

/** Milliseconds between two looks whether the group is still there, while nothing is asked of it. */
const LOOK_FOR_GROUP = 10_000;

/** Milliseconds before a look whether what was waited for has come. */
const LOOK_AGAIN = 50;

/** A member of a group on durable topics. */
export class Member implements BrokerSubscription, StandingOwner, LinkListener {
  readonly space: Space;
  readonly id: string = nuid.next();
  readonly turns: Turns<GroupLoan>;
  isPaused = false;
  readonly #source: Source & { readonly group: string };
  readonly #sink: Sink;
  readonly #company: Company;
  readonly #standing: Standing;
  readonly #classes: ReadonlyMap<RecordClass, ClassFlow>;
  readonly #recent = new RecentAcks();
  readonly #upkeep: Upkeep;
  #lent = 0;
  /** Most deliveries that core has room for now. */
  #most = 0;
  #scheduled = false;
  #closed = false;
  #failed = false;
  #lastSeen: number = Date.now();
  #later: NodeJS.Timeout | undefined;
  /** Until what has come is given back: closing waits for it, too. */
  #pausing: Promise<void> = Promise.resolve();
  /** Until nothing more comes. */
  #ended: Promise<unknown> = Promise.resolve();

  constructor(space: Space, source: Source & { readonly group: string }, sink: Sink) {
    this.space = space;
    this.#source = source;
    this.#sink = sink;
    this.turns = new Turns(source.prefetch);
    this.#makeRoom(source.room);
    this.#standing = new Standing(this, source);
    this.#classes = this.#standing.classes;
    this.#company = new Company(
      space,
      this.#standing.base,
      this.id,
      () => this.#lent,
      () => this.#upkeep.shareOut(),
      this.#standing.told,
      () => void this.#readLease(),
    );
    this.#upkeep = new Upkeep(this, this.#classes, this.#company);
  }

  get ackWait(): number {
    return this.#upkeep.ackWait;
  }

  /** In place when it resolves. */
  async open(): Promise<void> {
    const { space } = this;
    await this.#standing.join(this.#source.from);
    space.onLost.add(this.#standing.recover);
    space.link.listeners.add(this);
    this.#company.open();
    await Promise.all([
      space.link.host.provision === 'none' ? undefined : this.#company.mark(),
      this.#standing.open(),
    ]);
  }

  joined(info: ConsumerInfo | undefined): void {
    this.#upkeep.use(info);
    this.#company.reset();
    this.#company.tellLease();
  }

  opened(flow: ClassFlow): void {
    if (this.isPaused) return;
    if (flow.lane !== undefined) this.#company.join();
    flow.open();
  }

  /** Somebody has joined whose lease is shorter. */
  async #readLease(): Promise<void> {
    const info = await this.#standing.read();
    if (info !== undefined && !this.#closed) this.#upkeep.use(info);
  }

  missing(): void {
    this.#standing.recover();
  }

  fail(error: BusError): void {
    this.#failed = true;
    this.#sink.failed(error);
  }

  changed(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(this.#dispatch);
  }

  readonly #dispatch = (): void => {
    this.#scheduled = false;
    if (this.isPaused || this.#closed || this.#failed) return;
    const batch: GroupLoan[] = [];
    // What is more urgent is asked for before what is at hand goes.
    if (this.#classes.size > 1) this.#demand();
    while (this.#lent < this.#most) {
      const loan = this.turns.take(this.#lowest());
      if (loan === undefined) break;
      loan.state = LENT;
      this.#lent++;
      batch.push(loan);
    }
    this.#demand();
    if (batch.length > 0) this.#sink.deliver(batch);
  };

  #lowest(): number {
    const { opening } = this.#standing;
    if (this.#classes.size + opening.size === 1) return LOWEST;
    const lowest = lowestRank(this.turns, this.#classes.values(), opening.keys());
    if (lowest < LOWEST && this.#later === undefined) {
      this.#later = setTimeout(() => {
        this.#later = undefined;
        this.changed();
      }, LOOK_AGAIN);
      this.#later.unref();
    }
    return lowest;
  }

  #demand(): void {
    demand(this.turns, this.#classes.values(), this.#most - this.#lent);
  }

  #end(loan: GroupLoan, state: typeof ACKED | typeof GONE): void {
    loan.state = state;
    this.#lent--;
    loan.origin.loans.delete(loan);
  }

  /** Those of `deliveries` that are still ours; the others are refused. */
  #own(deliveries: readonly Delivery[], refused: Delivery[]): GroupLoan[] {
    const { own, expired, foreign } = sortOut(deliveries as readonly GroupLoan[], this.ackWait);
    for (const loan of expired) this.#end(loan, GONE);
    if (expired.length > 0) queueMicrotask(() => this.#expired(expired));
    refused.push(...expired, ...foreign);
    return own;
  }

  /** What is behind them of a lane comes again as well, and must not go first. */
  #expired(loans: readonly GroupLoan[]): void {
    for (const { origin } of loans) origin.lane?.lose();
    for (const loan of loans) this.turns.settled(loan);
    this.changed();
  }

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    const refused: Delivery[] = [];
    const own = this.#own(deliveries, refused);
    for (const loan of own) {
      this.#end(loan, ACKED);
      this.turns.settled(loan);
    }
    this.changed();
    const late = await settleLoans(this.space, own, ACK, this.ackWait);
    this.#recent.add(own);
    for (const { delivered, attempt, origin, seq } of own) {
      if (delivered > attempt) forgetReleases(this.space, origin.consumer, seq);
    }
    return refused.length === 0 && late.length === 0 ? NONE : [...refused, ...late];
  }

  async nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]> {
    const [loan] = this.#own([delivery], []);
    if (loan === undefined) return [delivery];
    this.#end(loan, GONE);
    if (this.#source.order === 'block' && loan.record.key !== undefined) {
      this.turns.block(loan);
      await loan.origin.lane?.remember().catch(() => {});
    } else {
      this.turns.settled(loan);
    }
    this.changed();
    const late = await settleLoans(this.space, [loan], nakWithDelay(delay), this.ackWait);
    return late.length === 0 ? NONE : [delivery];
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    const own = this.#own(deliveries, []);
    this.#lent -= own.length;
    for (const loan of own) {
      loan.state = HELD;
      // In line it keeps its place and its attempt without anybody's help.
      if (!this.isPaused) this.turns.putBack(loan);
      else {
        loan.origin.returns(loan);
        this.turns.settled(loan);
      }
    }
    this.changed();
    if (!this.isPaused) return;
    // To a flow that is still open the server would send them once more.
    await this.#ended;
    await this.giveBack(own);
  }

  giveBack(loans: readonly GroupLoan[]): Promise<void> {
    return giveBackLoans(this.space, loans);
  }

  lose(loans: readonly GroupLoan[]): void {
    const lent = loans.filter(({ state }) => state === LENT);
    for (const loan of loans) {
      if (loan.state === LENT) {
        this.#end(loan, GONE);
        this.turns.settled(loan);
      } else {
        loan.state = GONE;
        loan.origin.loans.delete(loan);
      }
    }
    if (lent.length > 0) this.#sink.lost(lent);
    this.changed();
  }

  pause(): Promise<void> {
    if (!this.isPaused) this.#pausing = this.#pause();
    return this.#pausing;
  }

  async #pause(): Promise<void> {
    this.isPaused = true;
    this.#company.leave();
    const flows = [...this.#classes.values()];
    this.#ended = Promise.all(flows.map((flow) => flow.end()));
    await this.#ended;
    if (!this.isPaused) return;
    await this.giveBack(flows.flatMap((flow) => flow.takeHeld()));
  }

  #makeRoom(room: number = Number.POSITIVE_INFINITY): void {
    this.#most = Math.min(this.#source.prefetch, this.#lent + room);
  }

  resume(room?: number): void {
    if (this.#closed) return;
    this.#makeRoom(room);
    if (this.isPaused) {
      this.isPaused = false;
      for (const flow of this.#classes.values()) {
        if (flow.lane !== undefined) this.#company.join();
        flow.open();
      }
    }
    this.changed();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.pause();
    this.#closed = true;
    this.#upkeep.stop();
    clearTimeout(this.#later);
    const { link } = this.space;
    link.listeners.delete(this);
    this.#standing.close();
    this.space.onLost.delete(this.#standing.recover);
    const flows = [...this.#classes.values()];
    const left = flows.flatMap(({ loans }) => [...loans]);
    for (const loan of left) loan.state = GONE;
    if (link.canSend && !this.#failed) {
      await sendSettlements(link, inOrder(left), NAK).catch(() => {});
      await Promise.all(flows.map((flow) => flow.free()));
      this.#company.freed();
    }
    await this.#company.close();
  }

  tick(now: number): void {
    if (this.#failed) return;
    this.#company.tick(now);
    if (!this.space.link.canSend) return;
    if (this.space.link.host.provision !== 'none') void this.#company.mark(now);
    if (this.isPaused && now - this.#lastSeen > LOOK_FOR_GROUP) {
      this.#lastSeen = now;
      this.missing();
    }
    this.changed();
  }

  down(): void {
    this.#recent.forgetOld(Date.now());
    for (const flow of this.#classes.values()) flow.abandon();
  }

  up(): void {
    this.#company.reset();
    // Meanwhile somebody may have joined whose lease is shorter.
    void this.#readLease();
    this.#recent.sendAgain(this.space.link);
    this.#upkeep.beat();
    if (this.isPaused || this.#failed) return;
    for (const flow of this.#classes.values()) flow.open();
    void this.#standing.discover();
  }
}
