import type { Entry } from './entry.ts';
import type { Lanes } from './lanes.ts';
import type { Part } from './part.ts';

/** Records that other members had when their part came here: nothing of their keys goes meanwhile. */
export class Lent {
  readonly #lanes: Lanes;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  add(entry: Entry): void {
    const { part, offset, key } = entry;
    if (part.loaned.has(offset)) return;
    part.loaned.set(offset, entry);
    if (key === undefined) return;
    entry.lane = this.#lanes.of(key);
    entry.lane.away++;
  }

  /** It is here again, or done; its lane is to be tidied then. */
  take(part: Part, offset: number): Entry | undefined {
    const entry = part.loaned.get(offset);
    if (entry === undefined) return undefined;
    part.loaned.delete(offset);
    if (entry.lane !== undefined) entry.lane.away--;
    return entry;
  }

  /** The part is to be somebody else's: so is the waiting for them. */
  clear(part: Part): void {
    for (const offset of [...part.loaned.keys()]) this.#lanes.tidy(this.take(part, offset)?.lane);
  }
}
