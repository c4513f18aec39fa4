const name = (topic: string, key: string): string => `${topic} ${key}`;

/**
 * The deduplication keys of one space, in two generations: when the newer one is a window old it becomes the older one,
 * and the older is dropped whole. Memory is bounded by what two windows bring, with no timer and no sweep.
 */
export class Deduplication {
  /** When each key is forgotten. */
  #recent = new Map<string, number>();
  #older = new Map<string, number>();
  #rotateAt = 0;
  #longest = 0;

  seen(topic: string, key: string, now: number): boolean {
    const known = name(topic, key);
    return (this.#recent.get(known) ?? this.#older.get(known) ?? Number.NEGATIVE_INFINITY) > now;
  }

  /** @param window - milliseconds that the key is remembered */
  remember(topic: string, key: string, now: number, window: number): void {
    this.#longest = Math.max(this.#longest, window);
    if (now >= this.#rotateAt) {
      this.#older = this.#recent;
      this.#recent = new Map();
      this.#rotateAt = now + this.#longest;
    }
    this.#recent.set(name(topic, key), now + window);
  }

  /** Forgets one key: what it stood for is not there after all. */
  forgetKey(topic: string, key: string): void {
    this.#recent.delete(name(topic, key));
    this.#older.delete(name(topic, key));
  }

  /** Forgets the keys of a topic. */
  forget(topic: string): void {
    for (const keys of [this.#recent, this.#older]) {
      for (const known of keys.keys()) if (known.startsWith(name(topic, ''))) keys.delete(known);
    }
  }

  clear(): void {
    this.#recent.clear();
    this.#older.clear();
  }
}
