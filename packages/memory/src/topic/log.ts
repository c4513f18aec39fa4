import type { BusRecord } from '@ambus/core';

/** A record with its place in the hub's publish order. */
export interface Placed {
  readonly record: BusRecord;
  readonly seq: number;
}

/**
 * Records in publish order with the time of each one's arrival, in a ring: dropping the oldest costs nothing. Three
 * parallel arrays instead of one of objects, because every record that flows through passes here.
 */
export class Log {
  #records: (BusRecord | undefined)[] = [];
  #seqs: number[] = [];
  #times: number[] = [];
  #head = 0;
  size = 0;

  append(record: BusRecord, seq: number, time: number): void {
    if (this.size === this.#records.length) this.#grow();
    const at = (this.#head + this.size++) & (this.#records.length - 1);
    this.#records[at] = record;
    this.#seqs[at] = seq;
    this.#times[at] = time;
  }

  dropOldest(): void {
    this.#records[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#records.length - 1);
    this.size--;
  }

  /** Arrival of the oldest record; only called when there is one. */
  get oldest(): number {
    return this.#times[this.#head]!;
  }

  at(index: number): Placed {
    const at = this.#slot(index);
    return { record: this.#records[at]!, seq: this.#seqs[at]! };
  }

  /** Index of the first record that has at least this `seq`; `size` if there is none. */
  fromSeq(seq: number): number {
    return this.#first(this.#seqs, seq);
  }

  /** Index of the first record that arrived then or later; `size` if there is none. */
  fromTime(time: number): number {
    return this.#first(this.#times, time);
  }

  *records(from = 0): Generator<Placed> {
    for (let index = from; index < this.size; index++) yield this.at(index);
  }

  /** Removes the records at these places, and adds the place of each that was there to `removed`. */
  remove(seqs: Iterable<number>, removed: Set<number>): void {
    let kept = this.size;
    for (const seq of seqs) {
      const index = this.fromSeq(seq);
      if (index === this.size || this.#seqs[this.#slot(index)] !== seq) continue;
      removed.add(seq);
      kept = Math.min(kept, index);
    }
    for (let index = kept; index < this.size; index++) {
      const from = this.#slot(index);
      if (removed.has(this.#seqs[from]!)) continue;
      const to = this.#slot(kept++);
      this.#records[to] = this.#records[from];
      this.#seqs[to] = this.#seqs[from]!;
      this.#times[to] = this.#times[from]!;
    }
    while (this.size > kept) this.#records[this.#slot(--this.size)] = undefined;
  }

  clear(): void {
    this.#records = [];
    this.#seqs = [];
    this.#times = [];
    this.#head = 0;
    this.size = 0;
  }

  #slot(index: number): number {
    return (this.#head + index) & (this.#records.length - 1);
  }

  /** Both `seq` and time only grow along the log, so the place is found by halving. */
  #first(values: readonly number[], wanted: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[this.#slot(middle)]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const capacity = Math.max(16, this.#records.length * 2);
    const records = new Array<BusRecord | undefined>(capacity).fill(undefined);
    const seqs = new Array<number>(capacity).fill(0);
    const times = new Array<number>(capacity).fill(0);
    for (let index = 0; index < this.size; index++) {
      const at = this.#slot(index);
      records[index] = this.#records[at];
      seqs[index] = this.#seqs[at]!;
      times[index] = this.#times[at]!;
    }
    this.#records = records;
    this.#seqs = seqs;
    this.#times = times;
    this.#head = 0;
  }
}
