/** A set of offsets, kept as ranges: what settles together is one entry, however many offsets it has. */
export class Ranges {
  /** Starts and ends (exclusive), ascending, alternating. */
  #bounds: number[] = [];

  get empty(): boolean {
    return this.#bounds.length === 0;
  }

  /** How many ranges there are. */
  get count(): number {
    return this.#bounds.length / 2;
  }

  /** How many offsets there are. */
  get size(): number {
    let size = 0;
    for (let at = 0; at < this.#bounds.length; at += 2) size += this.#bounds[at + 1]! - this.#bounds[at]!;
    return size;
  }

  has(offset: number): boolean {
    return this.#atMost(offset) % 2 === 1;
  }

  add(start: number, end: number = start + 1): void {
    if (start >= end) return;
    const bounds = this.#bounds;
    // The usual case: behind all others.
    if (bounds.length === 0 || start > bounds[bounds.length - 1]!) {
      bounds.push(start, end);
      return;
    }
    // An odd place is within a range: that goes on as it is.
    const from = this.#below(start);
    const to = this.#atMost(end);
    const kept = [start, end].slice(from % 2, to % 2 === 0 ? 2 : 1);
    bounds.splice(from, to - from, ...kept);
  }

  remove(start: number, end: number = start + 1): void {
    if (start >= end) return;
    const from = this.#below(start);
    const to = this.#atMost(end);
    const cut: number[] = [];
    if (from % 2 === 1) cut.push(start);
    if (to % 2 === 1) cut.push(end);
    this.#bounds.splice(from, to - from, ...cut);
  }

  /** Forgets everything below `offset`. */
  dropBelow(offset: number): void {
    const bounds = this.#bounds;
    const at = this.#atMost(offset);
    if (at % 2 === 1) {
      bounds.splice(0, at, offset);
    } else {
      bounds.splice(0, at);
    }
  }

  /** The end of the range that has `offset`; `offset` itself where none has. */
  endFrom(offset: number): number {
    const at = this.#atMost(offset);
    return at % 2 === 1 ? this.#bounds[at]! : offset;
  }

  *[Symbol.iterator](): Generator<readonly [start: number, end: number]> {
    for (let at = 0; at < this.#bounds.length; at += 2) yield [this.#bounds[at]!, this.#bounds[at + 1]!];
  }

  /** How many bounds are at most `offset`. */
  #atMost(offset: number): number {
    return this.#search(offset, true);
  }

  /** How many bounds are below `offset`. */
  #below(offset: number): number {
    return this.#search(offset, false);
  }

  #search(offset: number, inclusive: boolean): number {
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const bound = this.#bounds[middle]!;
      if (bound < offset || (inclusive && bound === offset)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
