import type { KafkaRecord } from '../wire/record.ts';

/** Which deduplication keys came within the window. */
export class Repeats {
  readonly #window: number;
  readonly #seen = new Map<string, number>();

  /** @param window - milliseconds */
  constructor(window: number) {
    this.#window = window;
  }

  /** Whether one with the same key came before, within the window; else it is the one that did. */
  has(record: KafkaRecord, time: number): boolean {
    const key = record.deduplicationKey;
    if (key === undefined) return false;
    const name = `${record.topic} ${key}`;
    const known = this.#seen.get(name);
    if (known !== undefined && time - known < this.#window) return true;
    this.#seen.delete(name);
    this.#seen.set(name, time);
    for (const [oldest, at] of this.#seen) {
      if (time - at < this.#window) break;
      this.#seen.delete(oldest);
    }
    return false;
  }
}
