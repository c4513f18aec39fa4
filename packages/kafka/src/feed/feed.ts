import type { BusError, Delivery, Sink, Source } from '@ambus/core';
import type { Settings } from '../options.ts';
import type { LogReader } from '../read/reader.ts';
import type { KafkaRecord } from '../wire/record.ts';
import { Agenda } from './agenda.ts';
import { DROPPED, Entry, LOST, OUT, SETTLED, WAITING } from './entry.ts';
import { Lanes } from './lanes.ts';
import type { Origin } from './origin.ts';
import type { Part } from './part.ts';
import { ReadyQueue } from './ready.ts';

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
  /** Whether this member of the group is still there. */
  lent(holder: string): boolean;
}

/** Records of slow keys that may be parked, as a multiple of what is read ahead. */
const PARKED = 20;
/** Batches on their way to core at a time: a second is noted while the answer to the first travels. */
const MOST_NOTES = 2;
/** Bytes that may wait in one subscription, parked ones included. */
const MOST_BYTES = 64 * 1024 * 1024;

/** One subscription's window: what was read, by rank and key, and what core has of it. */
export class Feed {
  readonly agenda: Agenda<Entry> = new Agenda((entry) => this.#due(entry));
  readonly deduplicationWindow: number;
  readonly parts: Map<string, Part> = new Map();
  readonly source: Source;
  paused = false;
  readonly #sink: Sink;
  readonly #host: FeedHost;
  readonly #reader: LogReader;
  readonly #settings: Settings;
  readonly #counted: boolean;
  readonly #ready = new ReadyQueue();
  readonly #lanes: Lanes;
  #lent = 0;
  #parked = 0;
  #bytes = 0;
  #order = 0;
  #scheduled = false;
  /** On their way to core: chosen, and not noted yet. */
  readonly #handing = new Set<Entry>();
  #handed: Promise<unknown> = Promise.resolve();
  /** Batches that are being noted. */
  #notes = 0;
  #movedAt = 0;
  readonly #detached = new Set<Part>();
  /** Records whose retries were read before they themselves. */
  readonly #moved = new Set<string>();
  #closed = false;

  constructor(
    source: Source,
    sink: Sink,
    host: FeedHost,
    reader: LogReader,
    settings: Settings,
    deduplicationWindow: number,
  ) {
    this.source = source;
    this.#sink = sink;
    this.#host = host;
    this.#reader = reader;
    this.#settings = settings;
    // Handed on at once, and all partitions of an answer together: the oldest of them comes first.
    reader.onRead = () => {
      if (!this.#closed && this.#scheduled) this.#pump();
    };
    this.#lanes = new Lanes(this.#ready, Math.max(1, source.prefetch >> 2));
    this.#counted = source.group !== undefined && source.channel === 'durable';
    this.deduplicationWindow = deduplicationWindow;
  }

  add(part: Part): void {
    this.parts.set(part.place, part);
    this.#reader.add(part);
  }

  /** Reads no more of a part; what core has of it can still be settled. */
  drain(part: Part): void {
    if (part.draining) return;
    part.draining = true;
    this.#reader.remove(part);
    this.agenda.remove((entry) => entry.part === part);
    this.#recall((entry) => entry.part === part);
    this.#lanes.drop((entry) => entry.part === part);
    this.#ready.drop((entry) => entry.part === part);
    this.#parked -= part.parked;
    this.#bytes -= part.bytes;
    part.parked = 0;
    part.bytes = 0;
    part.queued = 0;
  }

  /** Asks core for what it has of a part and has not begun with. */
  recall(part: Part): void {
    const out = [...part.out].filter((entry) => !this.#handing.has(entry));
    if (out.length > 0) this.#sink.recall?.(out);
  }

  remove(part: Part): void {
    this.drain(part);
    this.parts.delete(part.place);
  }

  /** A part is about to be somebody else's; what core has of it is settled by way of its owner from now on. */
  detach(part: Part): void {
    part.detached = true;
    if (part.out.size > 0) this.#detached.add(part);
  }

  /** Parts that are somebody else's, and of which core still has something. */
  get detached(): Iterable<Part> {
    return this.#detached;
  }

  /** Milliseconds for which the window has been full with nothing settled, while more waits; 0 where it is not so. */
  get stuck(): number {
    return this.#lent >= this.source.prefetch && this.#ready.some ? Date.now() - this.#movedAt : 0;
  }

  get full(): boolean {
    return this.#lent >= this.source.prefetch;
  }

  lent(holder: string): boolean {
    return this.#host.lent(holder);
  }

  /** Another member has it: nothing of its key goes meanwhile. */
  lend(entry: Entry): void {
    if (entry.key === undefined) return;
    entry.lane = this.#lanes.of(entry.key);
    entry.lane.away++;
  }

  /** Another member has it no longer. `due` where it is to come again. */
  back(part: Part, offset: number, due: number | undefined): void {
    part.ledger.loans.delete(offset);
    part.dirty = true;
    const entry = part.loaned.get(offset);
    part.loaned.delete(offset);
    if (due === undefined) part.ledger.settle(offset);
    else part.ledger.wait(offset, due);
    if (entry === undefined) return;
    const { lane } = entry;
    if (lane !== undefined) lane.away--;
    if (due !== undefined) {
      if (lane !== undefined && this.source.order === 'block') lane.block(entry);
      if (due <= Date.now()) this.enter(entry);
      else this.agenda.add(due, entry);
    }
    this.#lanes.tidy(lane);
    this.wake();
  }

  /** A part is somebody else's already, with all that core has of it. */
  lose(parts: readonly Part[]): void {
    const lost: Entry[] = [];
    for (const part of parts) {
      for (const entry of part.out) {
        if (!this.#handing.delete(entry)) lost.push(entry);
        this.#returned(entry, LOST);
      }
      this.#detached.delete(part);
      this.remove(part);
    }
    if (lost.length > 0) this.#sink.lost(lost);
  }

  close(): void {
    this.#closed = true;
    this.agenda.clear();
    this.parts.clear();
  }

  wants(part: Part): boolean {
    return (
      !this.paused &&
      part.queued - part.parked < this.#settings.maxPollRecords &&
      this.#parked < this.#settings.maxPollRecords * PARKED &&
      this.#bytes < MOST_BYTES
    );
  }

  entry(record: KafkaRecord, part: Part, level: number): Entry {
    return new Entry(record, part, level, this.#order++);
  }

  enter(entry: Entry): void {
    const { part, key } = entry;
    part.entered(entry);
    part.queued++;
    this.#weigh(entry, 1);
    if (key === undefined) {
      this.#ready.push(entry);
    } else {
      const lane = this.#lanes.of(key);
      entry.lane = lane;
      if (this.source.order === 'block' && this.#counted && part.ledger.count(entry.offset) > 0)
        lane.block(entry);
      part.parked++;
      this.#parked++;
      lane.push(entry);
      this.#lanes.offer(lane);
    }
    this.wake();
  }

  wait(entry: Entry, due: number): void {
    if (entry.key !== undefined && this.source.order === 'block') this.#lanes.of(entry.key).block(entry);
    entry.part.delay(entry, due);
  }

  /** A part has been read on. */
  read(part: Part): void {
    if (part.dirty) this.#host.changed();
    this.wake();
  }

  restarted(part: Part, start: number): void {
    this.#host.restarted(part, start);
  }

  gone(part: Part, error: BusError): void {
    this.#host.gone(part, error);
  }

  /** A record waits for its retry elsewhere: where it came from it is done. */
  move({ topic, partition, offset }: Origin): void {
    const part = this.parts.get(`${topic}/${partition}`);
    if (part === undefined || part.offset <= offset) {
      this.#moved.add(`${topic}/${partition}/${offset}`);
      return;
    }
    if (part.ledger.done(offset)) return;
    this.removed(part, offset);
    part.ledger.settle(offset);
    part.dirty = true;
  }

  moved(part: Part, offset: number): boolean {
    return this.#moved.size > 0 && this.#moved.delete(`${part.topic}/${part.partition}/${offset}`);
  }

  /** A record was removed from its topic: what was not handed out of it will not be. */
  removed(part: Part, offset: number): void {
    const doomed = (entry: Entry): boolean => entry.part === part && entry.offset === offset;
    this.agenda.remove(doomed);
    this.#ready.drop(doomed, (entry) => this.#forget(entry));
    this.#lanes.drop(doomed, (entry) => this.#forget(entry));
  }

  /** Looks whether something can be handed out, or must be fetched. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      this.#pump();
      this.#reader.wake();
    });
  }

  settle(deliveries: readonly Delivery[]): Delivery[] {
    const refused: Delivery[] = [];
    for (const delivery of deliveries as readonly Entry[]) {
      if (delivery.state === OUT) {
        this.#returned(delivery, SETTLED);
        delivery.lane?.unblock(delivery);
        if (!delivery.part.detached) delivery.part.ledger.settle(delivery.offset);
        delivery.part.dirty = true;
        this.#lanes.tidy(delivery.lane);
      } else if (delivery.state !== SETTLED) {
        refused.push(delivery);
      }
    }
    this.wake();
    return refused;
  }

  /** @returns false where it is no longer this subscription's */
  retry(delivery: Delivery, delay: number): boolean {
    const entry = delivery as Entry;
    if (entry.state !== OUT) return false;
    const again = entry.again();
    const { lane, part } = entry;
    this.#returned(entry, SETTLED);
    if (part.detached) {
      this.#lanes.tidy(lane);
      return true;
    }
    if (lane !== undefined && this.source.order === 'block') {
      lane.block(again);
      this.#recall((other) => other.lane === lane);
    }
    part.dirty = true;
    const due = Date.now() + delay;
    part.ledger.wait(entry.offset, due);
    if (!part.draining) {
      if (delay === 0) this.enter(again);
      else this.agenda.add(due, again);
    }
    this.#lanes.tidy(lane);
    this.wake();
    return true;
  }

  release(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries as readonly Entry[]) {
      if (delivery.state !== OUT) continue;
      const { part, lane } = delivery;
      this.#returned(delivery, SETTLED);
      if (part.detached) continue;
      part.ledger.release(delivery.offset);
      part.dirty = true;
      if (!part.draining) this.enter(delivery.again());
      this.#lanes.tidy(lane);
    }
  }

  /** Hands nothing more to core; what is on its way comes back uncounted. */
  pause(): void {
    this.paused = true;
    this.#recall(() => true);
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  #pump(): void {
    if (this.paused || !this.#host.open || this.#notes >= MOST_NOTES) return;
    const { prefetch } = this.source;
    const batch: Entry[] = [];
    let skipped: Entry[] | undefined;
    while (this.#lent < prefetch) {
      const entry = this.#ready.take();
      if (entry === undefined) break;
      const { lane, part } = entry;
      if (part.full && entry.offset >= part.ledger.handed) {
        skipped ??= [];
        skipped.push(entry);
        continue;
      }
      if (lane !== undefined) {
        if (lane.next !== entry || lane.lent >= this.#lanes.most) continue;
        lane.take();
        part.parked--;
        this.#parked--;
        this.#lanes.offer(lane);
      }
      this.#weigh(entry, -1);
      part.queued--;
      entry.state = OUT;
      entry.attempt = this.#counted ? part.ledger.hand(entry.offset) + entry.before : 1;
      part.out.add(entry);
      part.dirty = true;
      this.#lent++;
      this.#movedAt = Date.now();
      this.#handing.add(entry);
      batch.push(entry);
    }
    for (const entry of skipped ?? []) this.#ready.push(entry);
    if (batch.length === 0) return;
    const noted = this.#host.handing();
    if (noted === undefined) {
      this.#hand(batch);
      return;
    }
    this.#notes++;
    const before = this.#handed;
    this.#handed = noted
      .then(() => before)
      .then(() => {
        this.#notes--;
        this.#hand(batch);
      });
  }

  #hand(batch: readonly Entry[]): void {
    // What was taken back or lost meanwhile is not among them any more.
    const deliveries = batch.filter((entry) => this.#handing.delete(entry));
    if (deliveries.length > 0 && !this.#closed) this.#sink.deliver(deliveries);
    this.wake();
  }

  #due(entry: Entry): void {
    if (entry.state === WAITING && !entry.part.draining) this.enter(entry);
  }

  /** Takes back what is on its way to core. */
  #recall(which: (entry: Entry) => boolean): void {
    const recalled = [...this.#handing].filter(which);
    for (const entry of recalled) this.#handing.delete(entry);
    if (recalled.length > 0) this.release(recalled);
  }

  #returned(entry: Entry, state: number): void {
    entry.state = state;
    entry.part.out.delete(entry);
    if (entry.part.detached && entry.part.out.size === 0) this.#detached.delete(entry.part);
    this.#movedAt = Date.now();
    this.#lent--;
    if (entry.lane !== undefined) entry.lane.lent--;
  }

  #forget(entry: Entry): void {
    entry.state = DROPPED;
    this.#weigh(entry, -1);
    entry.part.queued--;
    if (entry.lane !== undefined) {
      entry.part.parked--;
      this.#parked--;
    }
  }

  #weigh(entry: Entry, sign: 1 | -1): void {
    const bytes = sign * (entry.record.raw.value?.length ?? 0);
    entry.part.bytes += bytes;
    this.#bytes += bytes;
  }
}
