import type { Entry } from './entry.ts';
import { Sequence } from './sequence.ts';

const LEVELS = 5;

/** What may go to a member now: by priority, then in publish order. */
export class ReadyQueue {
  readonly #levels: readonly Sequence[] = Array.from({ length: LEVELS }, () => new Sequence());
  /** One bit for each level that is not empty. */
  #filled = 0;

  /** Adds an entry that is newer than all that were pushed. */
  push(entry: Entry): void {
    const { priority } = entry.record;
    entry.queued = true;
    this.#levels[priority]!.push(entry);
    this.#filled |= 1 << priority;
  }

  /** Adds an entry at the place that its priority and `seq` say. */
  putBack(entry: Entry): void {
    const { priority } = entry.record;
    entry.queued = true;
    this.#levels[priority]!.putBack(entry);
    this.#filled |= 1 << priority;
  }

  take(): Entry | undefined {
    if (this.#filled === 0) return undefined;
    const lowest = this.#filled & -this.#filled;
    const level = this.#levels[31 - Math.clz32(lowest)]!;
    const entry = level.take()!;
    entry.queued = false;
    if (level.size === 0) this.#filled &= ~lowest;
    return entry;
  }

  /** Removes what `keep` is false for. */
  retain(keep: (entry: Entry) => boolean): void {
    for (const [priority, level] of this.#levels.entries()) {
      level.retain(keep);
      if (level.size === 0) this.#filled &= ~(1 << priority);
    }
  }
}
