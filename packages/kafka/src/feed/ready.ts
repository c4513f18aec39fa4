import { DROPPED, type Entry } from './entry.ts';

/**
 * What may be handed out: by priority, then by the time at which it was published. Partitions are read in any order, and
 * a batch comes from each: sorted once before the next is taken, which costs little where most of it is in order.
 */
export class ReadyQueue {
  readonly #levels: Entry[][] = [[], [], [], [], []];
  readonly #heads: number[] = [0, 0, 0, 0, 0];
  readonly #mixed: boolean[] = [false, false, false, false, false];

  push(entry: Entry): void {
    if (entry.ready) return;
    entry.ready = true;
    const level = this.#levels[entry.level]!;
    const last = level.at(-1);
    if (last !== undefined && compare(last, entry) > 0) this.#mixed[entry.level] = true;
    level.push(entry);
  }

  drop(doomed: (entry: Entry) => boolean, each: (entry: Entry) => void = () => {}): void {
    for (let level = 0; level < 5; level++) {
      const waiting = this.#levels[level]!.slice(this.#heads[level]!);
      const dropped = waiting.filter(doomed);
      if (dropped.length === 0) continue;
      this.#levels[level] = waiting.filter((entry) => !doomed(entry));
      this.#heads[level] = 0;
      for (const entry of dropped) {
        entry.ready = false;
        // Those of a key are in its lane, too, and counted there.
        if (entry.lane === undefined) each(entry);
      }
    }
  }

  /** Whether there is anything. */
  get some(): boolean {
    return this.#levels.some((entries, level) => entries.length > this.#heads[level]!);
  }

  take(): Entry | undefined {
    for (let level = 0; level < 5; level++) {
      const entries = this.#levels[level]!;
      if (this.#mixed[level]!) {
        entries.splice(0, this.#heads[level]!);
        this.#heads[level] = 0;
        this.#mixed[level] = false;
        entries.sort(compare);
      }
      while (this.#heads[level]! < entries.length) {
        const entry = entries[this.#heads[level]!++]!;
        if (this.#heads[level]! > 512) {
          entries.splice(0, this.#heads[level]!);
          this.#heads[level] = 0;
        }
        entry.ready = false;
        if (entry.state !== DROPPED) return entry;
      }
      if (entries.length > 0) {
        entries.length = 0;
        this.#heads[level] = 0;
      }
    }
    return undefined;
  }
}

function compare(a: Entry, b: Entry): number {
  const later = a.record.raw.timestamp - b.record.raw.timestamp;
  if (later !== 0 || a.part === b.part) return later || a.order - b.order;
  // Within a millisecond ids tell what came first, those of the bus at least.
  const [one, other] = [a.record.id, b.record.id];
  return one < other ? -1 : one > other ? 1 : a.order - b.order;
}
