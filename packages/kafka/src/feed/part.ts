import type { BusError } from '@ambus/core';
import type { InRecord } from '../driver/records.ts';
import { readHeaders } from '../driver/records.ts';
import type { Kind } from '../names.ts';
import type { Track } from '../read/reader.ts';
import { KafkaRecord, OWN } from '../wire/record.ts';
import { Entry } from './entry.ts';
import type { Feed } from './feed.ts';
import { Latest } from './latest.ts';
import type { Ledger } from './ledger.ts';
import { readOrigin } from './origin.ts';
import { Repeats } from './repeats.ts';
import { Room } from './room.ts';
import type { Later } from './waiting.ts';

/** Says of a record without a body that it takes another one back: the offset of that, or its id. */
export const REMOVE: string = `${OWN}remove`;
export const CANCEL: string = `${OWN}cancel`;

/** Where a part stands in the server's names, and where it goes on. */
export interface PartOptions {
  readonly topic: string;
  /** The topic's id when it was opened, where that is known: one that is made again has another. */
  readonly topicId?: string | undefined;
  readonly partition: number;
  readonly kind: Kind;
  readonly slot: number;
  readonly ledger: Ledger;
  /** Where to read from; before the ledger's floor where what was said earlier matters. */
  readonly start: number;
  /** The bus topic of records that do not name theirs. */
  readonly busTopic: string;
  readonly exact: boolean;
  /** Delayed records that were due by then were never for this subscription. */
  readonly notDueBefore: number;
  /** Where the log of a group's retries ended when it was opened: before that it may tell what of other parts is done. */
  readonly until?: number;
}

/** One partition in a subscription: turns what is read into entries, and keeps the account of them. */
export class Part implements Track {
  readonly options: PartOptions;
  readonly topic: string;
  readonly partition: number;
  readonly kind: Kind;
  readonly slot: number;
  readonly ledger: Ledger;
  offset: number;
  /** With core now. */
  readonly out: Set<Entry> = new Set();
  /** Read and not handed out, those that wait for their time not included. */
  queued = 0;
  /** Of these, which are in the lane of a key. */
  parked = 0;
  /** Bytes of those queued. */
  bytes = 0;
  draining = false;
  /** Whether it is another member's, but for what core still has of it. */
  detached = false;
  /** What other members have of it, by offset. */
  readonly loaned: Map<number, Entry> = new Map();
  /** Whether its account changed since it was last committed. */
  dirty = false;
  /** The server's end of the log when it was last read. */
  end = 0;
  /** Where its account that was last committed was too long: from there on it does not tell what is done. */
  told: number = Number.POSITIVE_INFINITY;
  readonly room: Room;
  readonly #feed: Feed;
  /** Delayed records by id, until they are due, and when that is by their publisher. */
  readonly #delayed = new Map<string, { readonly offset: number; readonly deliverAt: number }>();
  /** Read before all of the log was: a later record may cancel a delayed one, and retries do not go before all are known. */
  #held: Later[] | undefined;
  /** Nothing before it is in the log any more, or was ever read. */
  #begin: number;
  readonly #repeats: Repeats;
  readonly #latest = new Latest();

  constructor(options: PartOptions, feed: Feed) {
    this.options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.kind = options.kind;
    this.slot = options.slot;
    this.ledger = options.ledger;
    this.offset = options.start;
    this.#begin = options.start;
    this.#feed = feed;
    this.room = new Room(this, feed.source.order === 'block', () => feed.wake());
    this.#repeats = new Repeats(feed.deduplicationWindow);
    this.#held = options.kind === 'd' || this.behind ? [] : undefined;
  }

  get wanted(): boolean {
    if (this.draining) return false;
    // What is held takes no room, and others may be waiting for the end of it.
    return this.#held === undefined ? this.#feed.wants(this) : !this.#feed.paused;
  }

  /** Whether it may tell what of other parts is done. */
  get behind(): boolean {
    return this.offset < (this.options.until ?? 0);
  }

  take(records: readonly InRecord[], next: number, end: number, start = 0): void {
    this.end = end;
    let expected = this.offset;
    const floor = this.ledger.floor;
    for (const raw of records) {
      if (raw.offset > expected) this.ledger.settle(expected, raw.offset);
      expected = raw.offset + 1;
      this.#tryRead(raw);
    }
    if (next > expected) this.ledger.settle(expected, next);
    this.offset = next;
    if (this.ledger.floor > floor) this.dirty = true;
    if (start > this.#begin) this.#cut(start);
    if (this.kind === 'd' ? next >= end : !this.behind) this.#letGo();
    this.#feed.read(this);
  }

  outOfRange(start: number, end: number): void {
    // Emptied, or deleted and made again: there is nothing between.
    if (this.offset > end) {
      this.offset = start;
      this.#feed.host.restarted(this, start);
      return;
    }
    this.begins(start);
  }

  /** Its log begins here now: what was before is gone, also what of it waits here. */
  begins(start: number): void {
    if (start <= this.#begin) return;
    this.#cut(start);
    if (this.kind !== 'd' && !this.behind) this.#letGo();
    this.#feed.read(this);
  }

  #cut(start: number): void {
    this.#begin = start;
    this.offset = Math.max(start, this.offset);
    this.ledger.raise(start);
    this.dirty = true;
    for (const [id, { offset }] of this.#delayed) if (offset < start) this.#delayed.delete(id);
    this.#feed.removedBefore(this, start);
  }

  gone(error: BusError): void {
    this.#feed.host.gone(this, error);
  }

  /** What a record of this part is, read again. */
  entryOf(raw: InRecord, order: number): Entry | undefined {
    if (this.kind === 'q') {
      const origin = readOrigin(raw);
      return origin === undefined ? undefined : this.#retryOf(raw, origin, order);
    }
    const record = this.#record(raw);
    const ranked = this.kind === 'x' || this.kind === 'd';
    return new Entry(record, this, ranked ? record.priority : levelOf(this.kind), order);
  }

  /** A record that was there is not any more. */
  vanished(offset: number): void {
    this.#drop(offset);
    this.#feed.read(this);
  }

  /** A record that nobody can read must not stop what comes behind it. */
  #tryRead(raw: InRecord): void {
    try {
      this.#read(raw);
    } catch (error) {
      this.#drop(raw.offset);
      this.#feed.host.unreadable(this, raw.offset, error);
    }
  }

  #letGo(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const later of held) this.#feed.waiting.schedule(later);
  }

  #read(raw: InRecord): void {
    const { offset } = raw;
    if (raw.value === null && this.#note(raw)) {
      this.#drop(offset);
      return;
    }
    const { kind, ledger } = this;
    const done = ledger.done(offset);
    if (kind === 'q') {
      if (!done) this.#again(raw);
      return;
    }
    if (!done && this.#feed.moved(this, offset)) {
      this.#drop(offset);
      return;
    }
    if (kind !== 'x' && kind !== 'd') {
      if (!done) this.#enter(this.entryOf(raw, this.#feed.next())!);
      return;
    }
    const record = this.#record(raw);
    // What is delayed has the time at which it is due.
    if (this.#repeats.has(record, kind === 'd' ? record.time : raw.timestamp) || done) {
      if (!done) this.#drop(offset);
      return;
    }
    const entry = new Entry(record, this, record.priority, this.#feed.next());
    if (kind === 'x') {
      this.#enter(entry);
      return;
    }
    const deliverAt = record.deliverAt ?? 0;
    if (deliverAt <= this.options.notDueBefore) {
      this.#drop(offset);
      return;
    }
    const retry = ledger.due.get(offset);
    if (retry === undefined) this.#delayed.set(record.id, { offset, deliverAt });
    else this.#feed.block(entry);
    this.#later(entry, retry ?? deliverAt);
  }

  #record(raw: InRecord): KafkaRecord {
    const channel = this.kind === 'r' ? 'request' : this.kind === 'e' ? 'ephemeral' : 'durable';
    const { busTopic, exact } = this.options;
    return new KafkaRecord(raw, channel, busTopic, this.topic, this.partition, exact);
  }

  #drop(offset: number): void {
    this.ledger.settle(offset);
    this.dirty = true;
  }

  #enter(entry: Entry): void {
    const holder = this.ledger.loans.get(entry.offset);
    if (holder !== undefined && this.#feed.host.lent(holder)) {
      this.#feed.lend(entry);
      return;
    }
    this.ledger.loans.delete(entry.offset);
    const due = this.ledger.due.get(entry.offset);
    if (due === undefined) this.#feed.enter(entry);
    else this.#feed.wait(entry, due);
  }

  /** Enters when it is due, and when all that must be known before is. */
  #later(entry: Entry, due: number): void {
    if (this.ledger.loans.has(entry.offset)) this.#enter(entry);
    else if (this.#held !== undefined) this.#held.push(this.#feed.waiting.note(entry, due));
    else if (due <= Date.now()) this.#feed.enter(entry);
    else this.#feed.waiting.schedule(this.#feed.waiting.note(entry, due));
  }

  /** A retry that waits here instead of in the account of where it came from. */
  #again(raw: InRecord): void {
    const origin = readOrigin(raw);
    if (origin === undefined) {
      this.#drop(raw.offset);
      return;
    }
    this.#feed.move(origin);
    const before = this.#latest.note(origin, raw.offset, (offset) => this.ledger.done(offset));
    if (before !== undefined) {
      this.#feed.removed(this, before);
      this.#drop(before);
    }
    const entry = this.#retryOf(raw, origin, this.#feed.next());
    const due = this.ledger.due.get(raw.offset);
    if (due !== undefined) this.#feed.block(entry);
    this.#later(entry, due ?? origin.due);
  }

  #retryOf(raw: InRecord, origin: NonNullable<ReturnType<typeof readOrigin>>, order: number): Entry {
    const { busTopic, topic, topicId, partition, offset, timestamp, headers, level, attempts } = origin;
    const retried = { ...raw, timestamp, headers };
    const record = new KafkaRecord(retried, 'durable', busTopic, topic, partition, true, offset);
    const entry = new Entry(record, this, level, order);
    entry.offset = raw.offset;
    entry.before = attempts;
    entry.originId = topicId;
    return entry;
  }

  /** Whether it is a note of ours about another record. */
  #note(raw: InRecord): boolean {
    for (const [name, value] of readHeaders(raw.headers)) {
      if (name === REMOVE) {
        this.#feed.removed(this, Number(value));
        this.#drop(Number(value));
        return true;
      }
      if (name === CANCEL) {
        const delayed = this.#delayed.get(String(value));
        // One that was due when it was cancelled is on its way.
        if (delayed !== undefined && delayed.deliverAt > raw.timestamp) {
          this.#delayed.delete(String(value));
          this.#feed.waiting.remove(this, delayed.offset);
          this.#drop(delayed.offset);
        }
        return true;
      }
    }
    return false;
  }

  /** Its delayed record is no longer only that. */
  entered(entry: Entry): void {
    if (this.#delayed.size > 0) this.#delayed.delete(entry.record.id);
  }

  get place(): string {
    return `${this.topic}/${this.partition}`;
  }
}

const LEVELS: Readonly<Partial<Record<Kind, number>>> = { p0: 0, p1: 1, p3: 3, p4: 4 };

function levelOf(kind: Kind): number {
  return LEVELS[kind] ?? 2;
}
