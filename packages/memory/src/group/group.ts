import type { BusRecord, Channel, Delivery } from '@ambus/core';
import type { Agenda } from '../hub/agenda.ts';
import type { Dispatchable, Dispatcher } from '../hub/dispatcher.ts';
import { ACKED, DELAYED, ENDED, Entry, LENT, ORPHAN, WAITING } from '../queue/entry.ts';
import { ReadyQueue } from '../queue/ready.ts';
import { Lanes } from './lanes.ts';
import type { Member } from './member.ts';
import { Retry } from './retry.ts';
import { Rota } from './rota.ts';

/** Nothing was refused. */
const NONE: readonly Delivery[] = Object.freeze([]);

/** What a group works with. */
export interface GroupTools {
  readonly dispatcher: Dispatcher;
  readonly agenda: Agenda;
  now(): number;
}

/**
 * Competing members with one queue. A subscription without a group is one with a single member and no name.
 *
 * It keeps no list of what is with its members: they do.
 */
export class Group implements Dispatchable {
  /** Undefined for a private subscription. */
  readonly name: string | undefined;
  readonly pattern: string;
  readonly channel: Exclude<Channel, 'reply'>;
  readonly members: Member[] = [];
  scheduled = false;
  /** Records that are not with a member, those that wait for a retry included. */
  waiting = 0;
  /** Records that are with a member. */
  inFlight = 0;
  readonly #tools: GroupTools;
  readonly #ready = new ReadyQueue();
  readonly #lanes = new Lanes(this.#ready);
  readonly #rota = new Rota();
  readonly #served: Member[] = [];

  constructor(
    name: string | undefined,
    pattern: string,
    channel: Exclude<Channel, 'reply'>,
    tools: GroupTools,
  ) {
    this.name = name;
    this.pattern = pattern;
    this.channel = channel;
    this.#tools = tools;
  }

  /** Whether it outlives its members, and records come again to others. */
  get durable(): boolean {
    return this.name !== undefined && this.channel === 'durable';
  }

  /** Whether `limit` records wait for whom nobody has credit. */
  full(limit: number): boolean {
    return this.waiting >= limit && this.waiting - this.#rota.credit >= limit;
  }

  /** Adds a newly published record. */
  push(record: BusRecord, seq: number): void {
    const entry = new Entry(record, seq, 1);
    this.waiting++;
    if (record.key === undefined) this.#ready.push(entry);
    else this.#lanes.push(entry, record.key);
    this.#wake();
  }

  /** Puts an entry that waits to its old place. */
  putBack(entry: Entry): void {
    entry.state = WAITING;
    const { key } = entry.record;
    if (key === undefined) this.#ready.putBack(entry);
    else this.#lanes.putBack(entry, key);
    this.#wake();
  }

  dispatch(): void {
    const rota = this.#rota;
    while (rota.size > 0) {
      const entry = this.#ready.take();
      if (entry === undefined) break;
      const { lane } = entry;
      if (lane === undefined) {
        this.#lend(entry, rota.next());
        continue;
      }
      if (lane.next !== entry) continue;
      const member = lane.owner ?? rota.next();
      // Its next comes when one of those is settled: a slow key must leave room for the others.
      if (lane.lent >= member.laneLimit) continue;
      if (member.open) {
        this.#lanes.lend(lane, entry, member);
        this.#lend(entry, member);
      } else if (lane.stalledAt !== member) {
        lane.stalledAt = member;
        member.stalled.push(lane);
      }
    }
    // Core may pause or close members while it is called.
    for (const member of this.#served.splice(0)) member.handOver();
  }

  join(member: Member): void {
    member.group = this;
    this.members.push(member);
    this.admit(member);
  }

  /** Puts a member on the rota if it can take records. */
  admit(member: Member): void {
    if (member.open || !member.able) return;
    member.open = true;
    this.#rota.add(member);
    const { stalled } = member;
    if (stalled.length > 0) {
      member.stalled = [];
      for (const lane of stalled) {
        if (lane.stalledAt === member) lane.stalledAt = undefined;
        this.#lanes.offer(lane);
      }
    }
    if (this.waiting > 0) this.#tools.dispatcher.schedule(this);
  }

  /** Hands nothing more to a member; what is on its way to it comes back. */
  suspend(member: Member): void {
    this.#close(member);
    this.#release(member, member.recall());
  }

  /** The member goes. What it has goes to others as if it had died, or is dropped where nothing outlives a member. */
  leave(member: Member): void {
    this.suspend(member);
    if (this.durable) this.lapse(member);
    else this.#orphan(member);
    this.members.splice(this.members.indexOf(member), 1);
    member.group = undefined;
  }

  /** The member's leases are gone. Returns what it had. */
  lapse(member: Member): Entry[] {
    const lost = [...member.lent];
    for (const entry of lost) this.#comeAgain(entry, entry.attempt + 1, 0, false);
    return lost;
  }

  /** The group is gone; its members keep what they have, and settle it or not. */
  end(): void {
    for (const member of this.members) {
      this.#close(member);
      for (const entry of member.recall()) this.#finish(entry, ENDED);
      this.#orphan(member);
      member.group = undefined;
    }
    this.members.length = 0;
    this.#tools.agenda.retain((item) => !(item instanceof Retry && item.group === this));
  }

  /** @returns the deliveries that are no longer the member's */
  ack(member: Member, deliveries: readonly Delivery[]): readonly Delivery[] {
    let refused: Delivery[] | undefined;
    for (const delivery of deliveries as readonly Entry[]) {
      if (delivery.member === member && (delivery.state === LENT || delivery.state === ORPHAN)) {
        this.#finish(delivery, ACKED);
      } else if (delivery.member !== member || delivery.state !== ACKED) {
        refused ??= [];
        refused.push(delivery);
      }
    }
    this.admit(member);
    return refused ?? NONE;
  }

  /** @returns the delivery if it is no longer the member's, or cannot come again */
  nack(member: Member, delivery: Delivery, delay: number): readonly Delivery[] {
    const entry = delivery as Entry;
    const own = entry.member === member && (entry.state === LENT || entry.state === ORPHAN);
    const block = member.source.order === 'block';
    const { lane } = entry;
    const accepted = own && this.#comeAgain(entry, entry.attempt + 1, delay, block);
    // What is on its way would arrive before the record that blocks it.
    if (accepted && block && lane !== undefined) this.#release(member, member.recallLane(lane));
    this.admit(member);
    return accepted ? NONE : [delivery];
  }

  release(member: Member, deliveries: readonly Delivery[]): void {
    this.#release(member, deliveries as readonly Entry[]);
    this.admit(member);
  }

  /** Removes the records that `doomed` is true for, and adds the place of each to `removed`. */
  remove(doomed: (entry: Entry) => boolean, removed: Set<number>): void {
    if (this.waiting + this.inFlight === 0) return;
    const keep = (entry: Entry): boolean => {
      if (!doomed(entry)) return true;
      if (entry.state === WAITING || entry.state === DELAYED) {
        entry.state = ENDED;
        this.waiting--;
        removed.add(entry.seq);
      }
      return false;
    };
    this.#ready.retain(keep);
    this.#lanes.retain(keep);
    this.#tools.agenda.retain((item) => !(item instanceof Retry) || item.group !== this || keep(item.entry));
    for (const member of this.members) {
      for (const entry of member.lent) {
        if (entry.state !== LENT || !doomed(entry)) continue;
        entry.state = ORPHAN;
        this.inFlight--;
        removed.add(entry.seq);
      }
    }
    this.#tools.dispatcher.schedule(this);
  }

  #wake(): void {
    if (this.#rota.size > 0) this.#tools.dispatcher.schedule(this);
  }

  #lend(entry: Entry, member: Member): void {
    entry.state = LENT;
    this.waiting--;
    this.inFlight++;
    if (member.lend(entry)) this.#served.push(member);
    if (member.credit <= 0) this.#close(member);
  }

  #release(member: Member, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.member === member && (entry.state === LENT || entry.state === ORPHAN)) {
        this.#comeAgain(entry, entry.attempt, 0, false);
      }
    }
  }

  #close(member: Member): void {
    if (!member.open) return;
    member.open = false;
    this.#rota.remove(member);
  }

  #finish(entry: Entry, state: typeof ACKED | typeof ENDED): void {
    entry.member!.drop(entry);
    if (entry.state === LENT) this.inFlight--;
    entry.state = state;
    if (entry.lane === undefined) return;
    this.#lanes.settled(entry.lane, entry);
    this.#wake();
  }

  /** Ends a loan; the record is to come again, unless it was removed. */
  #comeAgain(entry: Entry, attempt: number, delay: number, block: boolean): boolean {
    if (entry.state === ORPHAN) {
      this.#finish(entry, ENDED);
      return false;
    }
    entry.member!.drop(entry);
    entry.state = ENDED;
    this.inFlight--;
    const again = new Entry(entry.record, entry.seq, attempt);
    this.waiting++;
    if (delay > 0) again.state = DELAYED;
    if (entry.lane !== undefined) {
      this.#lanes.comesAgain(entry.lane, entry, again, block);
      this.#wake();
    }
    if (delay > 0) this.#tools.agenda.add(new Retry(this.#tools.now() + delay, this, again));
    else this.putBack(again);
    return true;
  }

  /** What a member has is no longer this group's. */
  #orphan(member: Member): void {
    member.stalled = [];
    for (const entry of member.lent) {
      if (entry.state === LENT) this.inFlight--;
      entry.state = ORPHAN;
      if (entry.lane === undefined) continue;
      this.#lanes.settled(entry.lane, entry);
      entry.lane = undefined;
    }
  }
}
