import { ConfigError, UnsupportedError } from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import { Code, serverError } from '../driver/errors.ts';
import type { InRecord } from '../driver/records.ts';
import type { LogReader } from '../read/reader.ts';
import { Agenda } from './agenda.ts';
import type { Entry } from './entry.ts';
import type { Part } from './part.ts';

/** Bytes of bodies that are kept for what waits in one subscription; others are read again when they are due. */
const KEPT = 4 * 1024 * 1024;
/** How many due records are looked at for where to read next. */
const LOOKED_AT = 2_000;
const BACKOFF = 50;
const LONGEST_BACKOFF = 1_000;

/** A record that waits for its time. */
export interface Later {
  readonly part: Part;
  readonly offset: number;
  readonly order: number;
  /** Milliseconds since the epoch. */
  readonly due: number;
  /** Itself, where that is kept. */
  entry: Entry | undefined;
}

/** What a subscription has read and is due later: its delayed records and its retries, of which there may be any number. */
export class Waiting {
  readonly #reader: Pick<LogReader, 'once'>;
  readonly #enter: (entry: Entry) => void;
  readonly #wants: (part: Part) => boolean;
  readonly #agenda = new Agenda<Later>((later) => this.#due(later));
  readonly #parts = new Map<Part, Map<number, Later>>();
  /** Due, and not kept. */
  readonly #missing = new Map<Part, Map<number, Later>>();
  readonly #reading = new Set<Part>();
  #kept = 0;

  /** @param wants - whether there is room for more of a part; `wake` is called when there may be again */
  constructor(
    reader: Pick<LogReader, 'once'>,
    enter: (entry: Entry) => void,
    wants: (part: Part) => boolean,
  ) {
    this.#reader = reader;
    this.#enter = enter;
    this.#wants = wants;
  }

  /** Notes a record; it comes once `schedule` was called, too. */
  note(entry: Entry, due: number): Later {
    const { part, offset, order } = entry;
    const { bytes } = entry;
    const kept = this.#kept + bytes <= KEPT;
    if (kept) this.#kept += bytes;
    // By itself: what was read with it is not to stay for it.
    const later: Later = { part, offset, order, due, entry: kept ? entry.apart() : undefined };
    const own = this.#parts.get(part);
    if (own === undefined) this.#parts.set(part, new Map([[offset, later]]));
    else own.set(offset, later);
    return later;
  }

  schedule(later: Later): void {
    if (this.#parts.get(later.part)?.get(later.offset) === later) this.#agenda.add(later);
  }

  /** It will not come. */
  remove(part: Part, offset: number): void {
    const later = this.#parts.get(part)?.get(offset);
    if (later !== undefined) this.#take(later);
  }

  /** None of these will come. */
  removeBefore(part: Part, end: number): void {
    for (const later of [...(this.#parts.get(part)?.values() ?? [])])
      if (later.offset < end) this.#take(later);
  }

  /** Nothing of the part will come. */
  clear(part: Part): void {
    const own = this.#parts.get(part);
    if (own === undefined) return;
    for (const later of [...own.values()]) this.#take(later);
    this.#agenda.remove((later) => later.part === part);
  }

  close(): void {
    this.#agenda.clear();
    this.#parts.clear();
    this.#missing.clear();
  }

  /** There may be room for what is due. */
  wake(): void {
    for (const part of this.#missing.keys()) {
      if (!this.#reading.has(part) && this.#wants(part)) void this.#read(part);
    }
  }

  #due(later: Later): void {
    const { part, offset, entry } = later;
    // Removed meanwhile.
    if (this.#parts.get(part)?.get(offset) !== later) return;
    if (entry !== undefined) {
      this.#take(later);
      this.#enter(entry);
      return;
    }
    const missing = this.#missing.get(part);
    if (missing === undefined) this.#missing.set(part, new Map([[offset, later]]));
    else missing.set(offset, later);
    this.wake();
  }

  #found(part: Part, raw: InRecord): void {
    const later = this.#missing.get(part)?.get(raw.offset);
    if (later === undefined) return;
    this.#take(later);
    const entry = part.entryOf(raw, later.order);
    if (entry === undefined) part.vanished(raw.offset);
    else this.#enter(entry);
  }

  #take(later: Later): void {
    const { part, offset, entry } = later;
    if (entry !== undefined) this.#kept -= entry.bytes;
    // It may stand in the agenda for long.
    later.entry = undefined;
    const own = this.#parts.get(part);
    own?.delete(offset);
    if (own?.size === 0) this.#parts.delete(part);
    const missing = this.#missing.get(part);
    missing?.delete(offset);
    if (missing?.size === 0) this.#missing.delete(part);
  }

  /** Reads again what is due of a part. */
  async #read(part: Part): Promise<void> {
    this.#reading.add(part);
    let failures = 0;
    try {
      for (;;) {
        const missing = this.#missing.get(part);
        if (missing === undefined || !this.#wants(part)) return;
        const from = lowest(missing.keys());
        try {
          const { records, next } = await this.#reader.once(part, from);
          // A new leader may not have heard yet that it is stored: then nothing is known of it.
          if (next <= from) throw serverError(Code.leaderNotAvailable, `reading "${part.topic}"`, part.topic);
          failures = 0;
          const first = missing.get(from);
          if (first !== undefined && records[0]?.offset !== from) {
            this.#take(first);
            part.vanished(from);
          }
          for (const raw of records) this.#found(part, raw);
        } catch (error) {
          if (ConfigError.is(error) || UnsupportedError.is(error)) return part.gone(error);
          failures++;
          await wait(Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** failures));
        }
      }
    } finally {
      this.#reading.delete(part);
    }
  }
}

/** Of those that have been due for longest, the first in the log: what lies behind it comes along. */
function lowest(offsets: Iterable<number>): number {
  let low = Number.POSITIVE_INFINITY;
  let left = LOOKED_AT;
  for (const offset of offsets) {
    if (left-- === 0) break;
    if (offset < low) low = offset;
  }
  return low;
}
