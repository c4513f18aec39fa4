import type { BusError, Delivery, Sink, Source } from '@ambus/core';
import type { Emptied } from '../news.ts';
import type { Settings } from '../options.ts';
import type { LogReader } from '../read/reader.ts';
import { DROPPED, type Entry, LOST } from './entry.ts';
import { Handout } from './handout.ts';
import type { Identity } from './lane.ts';
import { Lanes } from './lanes.ts';
import { Lent } from './lent.ts';
import { Moved } from './moved.ts';
import { isAnother, type Origin } from './origin.ts';
import type { Part } from './part.ts';
import { ReadyQueue } from './ready.ts';
import { Settlement } from './settlement.ts';
import { Stock } from './stock.ts';
import { Waiting } from './waiting.ts';

/** What a feed leaves to whoever knows where its positions are kept. */
export interface FeedHost {
  /** Whether records may be handed out now. */
  readonly open: boolean;
  /** Notes what goes to core now; what it returns is waited for first. */
  handing(): Promise<unknown> | undefined;
  /** Accounts have changed. */
  changed(): void;
  /** The log of a part begins anew. */
  restarted(part: Part, start: number): void;
  gone(part: Part, error: BusError): void;
  /** What lies there is not a record that anybody can read; it was left out. */
  unreadable(part: Pick<Part, 'topic' | 'partition'>, offset: number, error: unknown): void;
  /** Whether this member of the group is still there. */
  lent(holder: string): boolean;
}

/** What of the reader a feed needs. */
export type FeedReader = Pick<LogReader, 'add' | 'remove' | 'wake' | 'once' | 'onRead' | 'onUnreadable'>;

/** One subscription's window: what was read, by rank and key, and what core has of it. */
export class Feed {
  readonly deduplicationWindow: number;
  readonly parts: Map<string, Part> = new Map();
  readonly source: Source;
  readonly host: FeedHost;
  /** What comes later. */
  readonly waiting: Waiting;
  paused = false;
  readonly #sink: Sink;
  readonly #reader: FeedReader;
  readonly #counted: boolean;
  readonly #ready = new ReadyQueue();
  readonly #lanes: Lanes;
  readonly #lent: Lent;
  readonly #moved = new Moved();
  readonly #stock: Stock;
  readonly #handout: Handout;
  readonly #settlement: Settlement;
  #order = 0;
  #scheduled = false;
  #closed = false;

  constructor(
    source: Source,
    sink: Sink,
    host: FeedHost,
    reader: FeedReader,
    settings: Pick<Settings, 'maxPollRecords'>,
    deduplicationWindow: number,
  ) {
    this.source = source;
    this.deduplicationWindow = deduplicationWindow;
    this.#sink = sink;
    this.host = host;
    this.#reader = reader;
    // Handed on at once, and all partitions of an answer together: the oldest of them comes first.
    reader.onRead = () => {
      if (!this.#closed && this.#scheduled) this.#pump();
    };
    reader.onUnreadable = (track, offset, error) => host.unreadable(track, offset, error);
    this.#counted = source.group !== undefined && source.channel === 'durable';
    this.#stock = new Stock(settings);
    this.#lanes = new Lanes(this.#ready, Math.max(1, source.prefetch >> 2));
    this.#lent = new Lent(this.#lanes);
    this.waiting = new Waiting(
      reader,
      (entry) => this.enter(entry),
      (part) => this.wants(part),
    );
    const queues = { ready: this.#ready, lanes: this.#lanes, stock: this.#stock };
    this.#handout = new Handout(source, sink, host, queues, this.#counted, () => this.wake());
    this.#settlement = new Settlement(this, this.#handout, this.#lanes);
  }

  add(part: Part): void {
    this.parts.set(part.place, part);
    this.#moved.look(part);
    this.#reader.add(part);
  }

  /** Reads no more of a part for now: until it is added again. */
  rest(part: Part): void {
    this.#reader.remove(part);
  }

  /** Reads no more of a part; what core has of it can still be settled. */
  drain(part: Part): void {
    if (part.draining) return;
    part.draining = true;
    const own = (entry: Identity): boolean => entry.part === part;
    this.#reader.remove(part);
    this.#moved.forget(part);
    this.waiting.clear(part);
    this.#settlement.recall(own);
    this.#ready.drop(own);
    this.#lanes.drop(own);
    this.#lent.clear(part);
    this.#stock.clear(part);
    // Others of its keys may have waited for it, and all for what it could tell.
    this.wake();
  }

  /** Asks core for what it has of a part and has not begun with. */
  recall(part: Part): void {
    this.#handout.askBack(part);
  }

  remove(part: Part): void {
    this.drain(part);
    this.parts.delete(part.place);
  }

  /** A part is about to be somebody else's; what core has of it is settled by way of its owner from now on. */
  detach(part: Part): void {
    part.detached = true;
    if (part.out.size > 0) this.#handout.detached.add(part);
  }

  /** Parts that are somebody else's, and of which core still has something. */
  get detached(): Iterable<Part> {
    return this.#handout.detached;
  }

  /** Milliseconds for which the window has been full with nothing settled, while more waits; 0 where it is not so. */
  get stuck(): number {
    return this.full && this.#ready.some ? Date.now() - this.#handout.movedAt : 0;
  }

  get full(): boolean {
    return this.#handout.lent >= this.source.prefetch;
  }

  /** Another member has it: nothing of its key goes meanwhile. */
  lend(entry: Entry): void {
    this.#lent.add(entry);
  }

  /** Another member has it no longer. `due` where it is to come again. */
  back(part: Part, offset: number, due: number | undefined): void {
    part.ledger.loans.delete(offset);
    part.dirty = true;
    const entry = this.#lent.take(part, offset);
    if (due === undefined) part.ledger.settle(offset);
    else if (!part.ledger.done(offset)) part.ledger.wait(offset, due);
    if (entry === undefined) return;
    if (due !== undefined) {
      if (due <= Date.now()) {
        this.block(entry);
        this.enter(entry);
      } else this.wait(entry, due);
    }
    this.#lanes.tidy(entry.lane);
    this.wake();
  }

  /** A part is somebody else's already, with all that core has of it. */
  lose(parts: readonly Part[]): void {
    const lost: Entry[] = [];
    for (const part of parts) {
      const handing = new Set(this.#handout.recall((entry) => entry.part === part));
      for (const entry of [...part.out]) {
        if (!handing.has(entry)) lost.push(entry);
        this.#handout.returned(entry, LOST);
        this.#lanes.tidy(entry.lane);
      }
      this.#handout.detached.delete(part);
      this.remove(part);
    }
    if (lost.length > 0) this.#sink.lost(lost);
  }

  close(): void {
    this.#closed = true;
    this.#handout.close();
    this.waiting.close();
    this.parts.clear();
  }

  wants(part: Part): boolean {
    return !this.paused && this.#stock.room(part);
  }

  /** Place in the order in which records are read. */
  next(): number {
    return this.#order++;
  }

  enter(entry: Entry): void {
    const { part, key } = entry;
    if (part.draining) return;
    part.entered(entry);
    this.#stock.add(entry);
    if (key === undefined) {
      this.#ready.push(entry);
    } else {
      const lane = this.#lanes.of(key);
      entry.lane = lane;
      if (this.#counted && part.ledger.count(entry.offset) > 0) this.block(entry);
      lane.push(entry);
      this.#lanes.offer(lane);
    }
    this.wake();
  }

  wait(entry: Entry, due: number): void {
    this.block(entry);
    this.waiting.schedule(this.waiting.note(entry, due));
  }

  /** With `order: 'block'`, nothing of its key goes before it. */
  block(entry: Entry): void {
    if (entry.key !== undefined && this.source.order === 'block') this.#lanes.of(entry.key).block(entry);
  }

  /** A part has been read on. */
  read(part: Part): void {
    this.#moved.look(part);
    if (part.dirty) this.host.changed();
    this.wake();
  }

  /** A record waits for its retry elsewhere: where it came from it is done. */
  move({ topic, topicId, partition, offset }: Origin): void {
    const place = `${topic}/${partition}`;
    const part = this.parts.get(place);
    if (part === undefined || part.offset <= offset) {
      this.#moved.note(place, offset, topicId);
      return;
    }
    if (isAnother(topicId, part) || part.ledger.done(offset)) return;
    this.removed(part, offset);
    part.ledger.settle(offset);
    part.dirty = true;
  }

  moved(part: Part, offset: number): boolean {
    return this.#moved.take(part, offset);
  }

  /** A record was removed from its topic: what was not handed out of it will not be. */
  removed(part: Part, offset: number): void {
    this.waiting.remove(part, offset);
    this.#drop((entry) => entry.part === part && entry.offset === offset);
    // Whoever has it need not say what becomes of it: its key must not wait for that.
    this.#lanes.tidy(this.#lent.take(part, offset)?.lane);
  }

  /** The first records of a part were removed. What another member has of them still holds its key until that is done. */
  removedBefore(part: Part, end: number): void {
    const doomed = (entry: Identity): boolean => entry.part === part && entry.offset < end;
    this.#settlement.recall(doomed);
    const out = [...part.out].filter(doomed);
    if (this.#counted && out.length > 0) this.#sink.recall?.(out);
    this.waiting.removeBefore(part, end);
    this.#drop(doomed);
  }

  /** Topics were emptied. */
  emptied(places: readonly Emptied[]): void {
    for (const { topic, partition, before } of places) {
      const part = this.parts.get(`${topic}/${partition}`);
      // Its next owner sees it by the log.
      if (part?.draining === false) part.begins(before);
    }
  }

  /** Looks whether something can be handed out, or must be fetched. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#pump();
      this.waiting.wake();
      this.#reader.wake();
    });
  }

  settle(deliveries: readonly Delivery[]): Delivery[] {
    return this.#settlement.settle(deliveries);
  }

  /** @returns false where it is no longer this subscription's */
  retry(delivery: Delivery, delay: number): boolean {
    return this.#settlement.retry(delivery, delay);
  }

  release(deliveries: readonly Delivery[]): void {
    this.#settlement.release(deliveries);
  }

  /** Hands nothing more to core; what is on its way comes back uncounted. */
  pause(): void {
    this.paused = true;
    this.#settlement.recall(() => true);
  }

  resume(room?: number): void {
    this.#handout.makeRoom(room);
    this.paused = false;
    this.wake();
  }

  #pump(): void {
    if (!this.paused && !this.#moved.behind) this.#handout.pump();
  }

  #drop(doomed: (entry: Identity) => boolean): void {
    this.#ready.drop(doomed, (entry) => this.#forget(entry));
    this.#lanes.drop(doomed, (entry) => this.#forget(entry));
  }

  #forget(entry: Entry): void {
    entry.state = DROPPED;
    this.#stock.take(entry);
  }
}
