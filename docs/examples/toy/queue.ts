import type { BusRecord, Clock, Delivery, Sink, Source } from '@ambus/core';

/** A record in a queue. The object is handed out again and again, with the attempt counted. */
interface Entry extends Delivery {
  attempt: number;
}

/** One member of a queue: what it wants, where it goes, and what it has not settled yet. */
export interface Member {
  readonly source: Source;
  readonly sink: Sink;
  readonly unsettled: Set<Delivery>;
  /** How many that may be. */
  most: number;
  paused: boolean;
}

/** What waits for one group, or for one subscription without a group. */
export class Queue {
  readonly members: Member[] = [];
  #waiting: Entry[] = [];
  #scheduled = false;

  // #region deliver
  add(record: BusRecord): void {
    this.#waiting.push({ record, attempt: 0, native: undefined });
    this.pump();
  }

  /** As from a server: what a call causes is delivered after it, never inside of it. */
  pump(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#handOut();
    });
  }

  /** Each message to the next member that has room. */
  #handOut(): void {
    for (let member = this.#next(); member !== undefined; member = this.#next()) {
      const entry = this.#waiting.shift()!;
      entry.attempt++;
      member.unsettled.add(entry);
      member.sink.deliver([entry]);
    }
  }

  #next(): Member | undefined {
    if (this.#waiting.length === 0) return undefined;
    const free = this.members.find(({ paused, unsettled, most }) => !paused && unsettled.size < most);
    if (free !== undefined) this.members.push(...this.members.splice(this.members.indexOf(free), 1)); // to the end of the line
    return free;
  }
  // #endregion deliver

  // #region settle
  ack(member: Member, deliveries: readonly Delivery[]): readonly Delivery[] {
    const refused = deliveries.filter((delivery) => !member.unsettled.delete(delivery));
    this.pump(); // there is room again
    return refused;
  }

  nack(member: Member, delivery: Delivery, delay: number, clock: Clock): readonly Delivery[] {
    if (!member.unsettled.delete(delivery)) return [delivery];
    clock.setTimeout(() => this.#putBack([delivery as Entry]), delay);
    this.pump();
    return [];
  }

  /** Back to their old place, uncounted. */
  release(member: Member, deliveries: readonly Delivery[]): void {
    const entries = deliveries.filter((delivery) => member.unsettled.delete(delivery)) as Entry[];
    for (const entry of entries) entry.attempt--;
    this.#putBack(entries);
  }

  /** What a member leaves behind goes to the others, counted: nobody knows how far it came. */
  leave(member: Member): void {
    this.members.splice(this.members.indexOf(member), 1);
    this.#putBack([...member.unsettled] as Entry[]);
    member.unsettled.clear();
  }
  // #endregion settle

  #putBack(entries: readonly Entry[]): void {
    this.#waiting = [...entries, ...this.#waiting];
    this.pump();
  }
}
