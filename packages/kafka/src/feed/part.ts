import type { BusError } from '@ambus/core';
import type { InRecord } from '../driver/records.ts';
import { readHeaders } from '../driver/records.ts';
import type { Kind } from '../names.ts';
import type { Track } from '../read/reader.ts';
import { KafkaRecord, OWN } from '../wire/record.ts';
import { DROPPED, type Entry } from './entry.ts';
import type { Feed } from './feed.ts';
import type { Ledger } from './ledger.ts';
import { readOrigin } from './origin.ts';

/** Says of a record without a body that it takes another one back: the offset of that, or its id. */
export const REMOVE: string = `${OWN}remove`;
export const CANCEL: string = `${OWN}cancel`;

/** Where a part stands in the server's names, and where it goes on. */
export interface PartOptions {
  readonly topic: string;
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
}

/** One partition in a subscription: turns what is read into entries, and keeps the account of them. */
export class Part implements Track {
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
  /** Set when its account is too long: nothing more is handed out until it is shorter. */
  full = false;
  readonly #feed: Feed;
  readonly #busTopic: string;
  readonly #exact: boolean;
  readonly #notDueBefore: number;
  /** Delayed records by id, until they are due. */
  readonly #delayed = new Map<string, Entry>();
  /** Delayed records read before the end of the log was: one of the next records may cancel them. */
  #held: Entry[] | undefined;
  readonly #seen = new Map<string, number>();

  constructor(options: PartOptions, feed: Feed) {
    this.topic = options.topic;
    this.partition = options.partition;
    this.kind = options.kind;
    this.slot = options.slot;
    this.ledger = options.ledger;
    this.offset = options.start;
    this.#busTopic = options.busTopic;
    this.#exact = options.exact;
    this.#notDueBefore = options.notDueBefore;
    this.#feed = feed;
    this.#held = options.kind === 'd' ? [] : undefined;
  }

  get wanted(): boolean {
    return !this.draining && this.#feed.wants(this);
  }

  take(records: readonly InRecord[], next: number, end: number): void {
    this.end = end;
    let expected = this.offset;
    const floor = this.ledger.floor;
    for (const raw of records) {
      if (raw.offset > expected) this.ledger.settle(expected, raw.offset);
      expected = raw.offset + 1;
      this.#read(raw);
    }
    if (next > expected) this.ledger.settle(expected, next);
    this.offset = next;
    if (this.ledger.floor > floor) this.dirty = true;
    if (this.#held !== undefined && next >= end) {
      const held = this.#held;
      this.#held = undefined;
      for (const entry of held) this.#schedule(entry);
    }
    this.#feed.read(this);
  }

  outOfRange(start: number, end: number): void {
    // Emptied, or deleted and made again: there is nothing between.
    if (this.offset > end) {
      this.offset = start;
      this.#feed.restarted(this, start);
      return;
    }
    this.ledger.raise(start);
    this.offset = Math.max(start, this.offset);
    this.dirty = true;
    this.#feed.read(this);
  }

  gone(error: BusError): void {
    this.#feed.gone(this, error);
  }

  /** Comes back when it is due. */
  delay(entry: Entry, due: number): void {
    this.#feed.agenda.add(due, entry);
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
      if (!done) this.#enter(this.#feed.entry(this.#record(raw), this, levelOf(kind)));
      return;
    }
    const record = this.#record(raw);
    if (this.#repeats(record) || done) {
      if (!done) this.#drop(offset);
      return;
    }
    const entry = this.#feed.entry(record, this, record.priority);
    if (kind === 'x') {
      this.#enter(entry);
      return;
    }
    if ((record.deliverAt ?? 0) <= this.#notDueBefore) {
      this.#drop(offset);
      return;
    }
    this.#delayed.set(record.id, entry);
    if (this.#held !== undefined) this.#held.push(entry);
    else this.#schedule(entry);
  }

  #record(raw: InRecord): KafkaRecord {
    const channel = this.kind === 'r' ? 'request' : this.kind === 'e' ? 'ephemeral' : 'durable';
    return new KafkaRecord(raw, channel, this.#busTopic, this.topic, this.partition, this.#exact);
  }

  #drop(offset: number): void {
    this.ledger.settle(offset);
    this.dirty = true;
  }

  #enter(entry: Entry): void {
    const holder = this.ledger.loans.get(entry.offset);
    if (holder !== undefined && this.#feed.lent(holder)) {
      this.loaned.set(entry.offset, entry);
      this.#feed.lend(entry);
      return;
    }
    this.ledger.loans.delete(entry.offset);
    const due = this.ledger.due.get(entry.offset);
    if (due === undefined) this.#feed.enter(entry);
    else this.#feed.wait(entry, due);
  }

  /** A retry that waits here instead of in the account of where it came from. */
  #again(raw: InRecord): void {
    const origin = readOrigin(raw);
    if (origin === undefined) {
      this.#drop(raw.offset);
      return;
    }
    const { topic, partition, offset, timestamp } = origin;
    const record = new KafkaRecord(
      { ...raw, timestamp, headers: origin.headers },
      'durable',
      origin.busTopic,
      topic,
      partition,
      true,
      offset,
    );
    const entry = this.#feed.entry(record, this, origin.level);
    entry.offset = raw.offset;
    entry.before = origin.attempts;
    this.#feed.move(origin);
    const due = this.ledger.due.get(raw.offset) ?? origin.due;
    if (this.ledger.loans.has(raw.offset) || due <= Date.now()) this.#enter(entry);
    else this.delay(entry, due);
  }

  #schedule(entry: Entry): void {
    if (entry.state === DROPPED) return;
    const retry = this.ledger.due.get(entry.offset);
    const due = entry.record.deliverAt ?? 0;
    if (this.ledger.loans.has(entry.offset)) this.#enter(entry);
    else if (retry !== undefined) this.#feed.wait(entry, retry);
    else if (due <= Date.now()) this.#feed.enter(entry);
    else this.delay(entry, due);
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
        const entry = this.#delayed.get(String(value));
        // One that was due when it was cancelled is on its way.
        if (entry !== undefined && (entry.record.deliverAt ?? 0) > raw.timestamp) {
          this.#delayed.delete(String(value));
          entry.state = DROPPED;
          this.#drop(entry.offset);
        }
        return true;
      }
    }
    return false;
  }

  /** Whether a record with the same deduplication key came before, within the window. */
  #repeats(record: KafkaRecord): boolean {
    const key = record.deduplicationKey;
    if (key === undefined) return false;
    const name = `${record.topic} ${key}`;
    const time = this.kind === 'd' ? record.time : record.raw.timestamp;
    const known = this.#seen.get(name);
    if (known !== undefined && time - known < this.#feed.deduplicationWindow) return true;
    this.#seen.delete(name);
    this.#seen.set(name, time);
    for (const [oldest, at] of this.#seen) {
      if (time - at < this.#feed.deduplicationWindow) break;
      this.#seen.delete(oldest);
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
