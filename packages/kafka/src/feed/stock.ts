import type { Settings } from '../options.ts';
import type { Entry } from './entry.ts';
import type { Part } from './part.ts';

/** Records of slow keys that may be parked, as a multiple of what is read ahead. */
const PARKED = 20;
/** Bytes that what waits in one subscription may take, parked ones included. */
const MOST_BYTES = 64 * 1024 * 1024;

/** How much of what was read waits to be handed out: reading stops where it is enough. */
export class Stock {
  readonly #most: number;
  #parked = 0;
  #bytes = 0;

  constructor({ maxPollRecords }: Pick<Settings, 'maxPollRecords'>) {
    this.#most = maxPollRecords;
  }

  room(part: Part): boolean {
    return (
      part.queued - part.parked < this.#most && this.#parked < this.#most * PARKED && this.#bytes < MOST_BYTES
    );
  }

  add(entry: Entry): void {
    this.#count(entry, 1);
  }

  take(entry: Entry): void {
    this.#count(entry, -1);
  }

  /** Forgets what there is of a part. */
  clear(part: Part): void {
    this.#parked -= part.parked;
    this.#bytes -= part.bytes;
    part.parked = 0;
    part.bytes = 0;
    part.queued = 0;
  }

  #count(entry: Entry, sign: 1 | -1): void {
    const { part, key } = entry;
    const bytes = sign * entry.bytes;
    part.queued += sign;
    part.bytes += bytes;
    this.#bytes += bytes;
    if (key === undefined) return;
    part.parked += sign;
    this.#parked += sign;
  }
}
