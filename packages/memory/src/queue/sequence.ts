import { Deque } from './deque.ts';
import type { Entry } from './entry.ts';
import { Heap } from './heap.ts';

const bySeq = (a: Entry, b: Entry): boolean => a.seq < b.seq;

/**
 * Entries in publish order. New ones are appended; those that come back go to a heap beside the queue, because their
 * old place is in the middle of it.
 */
export class Sequence {
  readonly #fresh = new Deque<Entry>();
  #returned: Heap<Entry> | undefined;

  get size(): number {
    return this.#returned === undefined ? this.#fresh.size : this.#fresh.size + this.#returned.size;
  }

  /** Adds an entry that is newer than all that were pushed. */
  push(entry: Entry): void {
    this.#fresh.push(entry);
  }

  /** Adds an entry at the place that its `seq` says. */
  putBack(entry: Entry): void {
    this.#returned ??= new Heap(bySeq);
    this.#returned.push(entry);
  }

  take(): Entry | undefined {
    const returned = this.#returned;
    if (returned === undefined) return this.#fresh.shift();
    const first = this.#fresh.peek();
    if (first !== undefined && first.seq < returned.peek()!.seq) return this.#fresh.shift();
    const entry = returned.pop();
    if (returned.size === 0) this.#returned = undefined;
    return entry;
  }

  /** Removes what `keep` is false for. */
  retain(keep: (entry: Entry) => boolean): void {
    this.#fresh.retain(keep);
    this.#returned?.retain(keep);
    if (this.#returned?.size === 0) this.#returned = undefined;
  }
}
