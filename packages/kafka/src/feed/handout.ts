import type { Sink, Source } from '@ambus/core';
import { type Entry, OUT } from './entry.ts';
import type { FeedHost } from './feed.ts';
import type { Lanes } from './lanes.ts';
import type { Part } from './part.ts';
import type { ReadyQueue } from './ready.ts';
import type { Stock } from './stock.ts';

/** Batches on their way to core at a time: a second is noted while the answer to the first travels. */
const MOST_NOTES = 2;

/** What core has of a subscription, and what is on its way there: chosen, and not noted yet. */
export class Handout {
  /** How many core has, or are on their way. */
  lent = 0;
  /** Most that core has room for now. */
  #most = 0;
  /** When something was last handed out or came back; milliseconds since the epoch. */
  movedAt = 0;
  /** Parts that are somebody else's, and of which core still has something. */
  readonly detached: Set<Part> = new Set();
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #host: FeedHost;
  readonly #ready: ReadyQueue;
  readonly #lanes: Lanes;
  readonly #stock: Stock;
  readonly #counted: boolean;
  readonly #wake: () => void;
  readonly #handing = new Set<Entry>();
  #handed: Promise<unknown> = Promise.resolve();
  /** Batches that are being noted. */
  #notes = 0;
  #closed = false;

  constructor(
    source: Source,
    sink: Sink,
    host: FeedHost,
    queues: { readonly ready: ReadyQueue; readonly lanes: Lanes; readonly stock: Stock },
    counted: boolean,
    wake: () => void,
  ) {
    this.#source = source;
    this.#sink = sink;
    this.#host = host;
    this.#ready = queues.ready;
    this.#lanes = queues.lanes;
    this.#stock = queues.stock;
    this.#counted = counted;
    this.#wake = wake;
    this.makeRoom(source.room);
  }

  /** @param room - for how many more than core has; undefined: for all of the prefetch */
  makeRoom(room: number = Number.POSITIVE_INFINITY): void {
    this.#most = Math.min(this.#source.prefetch, this.lent + room);
  }

  pump(): void {
    if (!this.#host.open || this.#notes >= MOST_NOTES) return;
    const batch = this.#choose();
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

  /** Takes back what is on its way; it is still counted as out. */
  recall(which: (entry: Entry) => boolean): Entry[] {
    const recalled = [...this.#handing].filter(which);
    for (const entry of recalled) this.#handing.delete(entry);
    return recalled;
  }

  /** Asks core for what it has of a part and has not begun with. */
  askBack(part: Part): void {
    const out = [...part.out].filter((entry) => !this.#handing.has(entry));
    if (out.length > 0) this.#sink.recall?.(out);
  }

  /** Core has it no longer. */
  returned(entry: Entry, state: number): void {
    const { part, lane } = entry;
    entry.state = state;
    part.out.delete(entry);
    if (part.detached && part.out.size === 0) this.detached.delete(part);
    this.movedAt = Date.now();
    this.lent--;
    if (lane !== undefined) lane.lent--;
  }

  close(): void {
    this.#closed = true;
  }

  #choose(): Entry[] {
    const batch: Entry[] = [];
    let skipped: Entry[] | undefined;
    while (this.lent < this.#most) {
      const entry = this.#ready.take();
      if (entry === undefined) break;
      const { lane, part } = entry;
      if (lane !== undefined && (lane.next !== entry || lane.lent >= this.#lanes.most)) continue;
      if (this.#counted && !part.room.take(entry)) {
        skipped ??= [];
        skipped.push(entry);
        continue;
      }
      if (lane !== undefined) {
        lane.take();
        this.#lanes.offer(lane);
      }
      this.#stock.take(entry);
      entry.state = OUT;
      entry.attempt = this.#counted ? part.ledger.hand(entry.offset) + entry.before : 1;
      part.out.add(entry);
      part.dirty = true;
      this.lent++;
      this.movedAt = Date.now();
      this.#handing.add(entry);
      batch.push(entry);
    }
    for (const entry of skipped ?? []) this.#ready.push(entry);
    return batch;
  }

  #hand(batch: readonly Entry[]): void {
    // What was taken back or lost meanwhile is not among them any more.
    const deliveries = batch.filter((entry) => this.#handing.delete(entry));
    if (deliveries.length > 0 && !this.#closed) this.#sink.deliver(deliveries);
    this.#wake();
  }
}
