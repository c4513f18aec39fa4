/** Below this an empty ring keeps its room: giving it back would only be undone by the next burst. */
const SMALL = 1024;

/** First in, first out, in a ring that doubles when it is full and halves when it is nearly empty. */
export class Deque<T> {
  #ring: (T | undefined)[] = [];
  #head = 0;
  size = 0;

  push(value: T): void {
    if (this.size === this.#ring.length) this.#resize(Math.max(4, this.size * 2));
    this.#ring[(this.#head + this.size++) & (this.#ring.length - 1)] = value;
  }

  peek(): T | undefined {
    return this.size === 0 ? undefined : this.#ring[this.#head];
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.size--;
    if (this.#ring.length > SMALL && this.size < this.#ring.length / 4) this.#resize(this.#ring.length / 2);
    return value;
  }

  /** Removes what `keep` is false for. */
  retain(keep: (value: T) => boolean): void {
    const kept: T[] = [];
    for (let value = this.shift(); value !== undefined; value = this.shift()) {
      if (keep(value)) kept.push(value);
    }
    this.#ring = [];
    this.#head = 0;
    for (const value of kept) this.push(value);
  }

  #resize(capacity: number): void {
    const next = new Array<T | undefined>(capacity).fill(undefined);
    for (let i = 0; i < this.size; i++) next[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = next;
    this.#head = 0;
  }
}
