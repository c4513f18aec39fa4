import type { Sink } from '@ambus/core';
import type { Stored } from '../wire/entry.ts';

const byLevel = (a: Stored, b: Stored): number => a.record.priority - b.record.priority;

/**
 * What a member has fetched: as much as there is room for is with core, the rest waits here. It happens that two reads
 * bring more than one alone was to.
 */
export class Window {
  readonly #prefetch: number;
  /** Most that may be held now. */
  #most = 0;
  readonly #sink: Sink;
  readonly #held = new Set<Stored>();
  #buffer: Stored[] = [];
  /** Taken out by core, and the server has not answered yet. */
  readonly #settling = new Set<readonly Stored[]>();

  constructor(prefetch: number, room: number | undefined, sink: Sink) {
    this.#prefetch = prefetch;
    this.#sink = sink;
    this.makeRoom(room);
  }

  /** @param room - for how many more than are held; undefined: for all of the prefetch */
  makeRoom(room: number = Number.POSITIVE_INFINITY): void {
    this.#most = Math.min(this.#prefetch, this.#held.size + room);
  }

  /** How many more may be fetched. */
  get room(): number {
    return this.#most - this.#held.size;
  }

  /** Takes in what was fetched, and hands on what core has room for. */
  admit(records: Stored[]): void {
    for (const record of records) this.#held.add(record);
    if (this.#buffer.length === 0 && this.#held.size <= this.#most) {
      if (records.length > 0) this.#sink.deliver(records);
      return;
    }
    this.#buffer.push(...records);
    this.#buffer.sort(byLevel);
    this.flush();
  }

  flush(): void {
    const room = this.#most - (this.#held.size - this.#buffer.length);
    if (room <= 0 || this.#buffer.length === 0) return;
    this.#sink.deliver(this.#buffer.splice(0, room));
  }

  /** Core is done with these. */
  done(records: readonly Stored[]): void {
    for (const record of records) this.#held.delete(record);
  }

  /** As `done`, for what must not be taken for lost before the server has answered: then the returned function is called. */
  settling(records: readonly Stored[]): () => void {
    this.done(records);
    this.#settling.add(records);
    return () => void this.#settling.delete(records);
  }

  /** Takes what waits here back. */
  takeBuffer(): Stored[] {
    return this.recall(() => true);
  }

  recall(unwanted: (record: Stored) => boolean): Stored[] {
    const recalled = this.#buffer.filter(unwanted);
    if (recalled.length === 0) return recalled;
    this.#buffer = this.#buffer.filter((record) => !unwanted(record));
    this.done(recalled);
    return recalled;
  }

  /** Drops what a member had that is one no more. Returns what of it is with core. */
  forget(member: string): Stored[] {
    this.recall(({ holder }) => holder === member);
    const lost = [...this.#held].filter(({ holder }) => holder === member);
    this.done(lost);
    return lost;
  }

  /** Names of everything that is accounted for. */
  known(): ReadonlySet<string> {
    const known = new Set<string>();
    for (const record of this.#held) known.add(nameOf(record));
    for (const records of this.#settling) for (const record of records) known.add(nameOf(record));
    return known;
  }
}

/** Topic, kind and id. */
export function nameOf({ streamTopic, kind, entryId }: Stored): string {
  return `${streamTopic} ${kind} ${entryId}`;
}
