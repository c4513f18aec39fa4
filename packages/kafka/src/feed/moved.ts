import type { Part } from './part.ts';

/**
 * Retries that wait in the group's topic of retries, as seen from where they were published: there they are done. A crash
 * may have come between the two, so nothing is handed out before all retries that were stored by then are known.
 */
export class Moved {
  /** Records whose retries were read before they themselves, by part. */
  readonly #offsets = new Map<string, Set<number>>();
  readonly #behind = new Set<Part>();

  /** Whether there may be retries that are not known yet. */
  get behind(): boolean {
    return this.#behind.size > 0;
  }

  /** A part is read from here on, or was read on. */
  look(part: Part): void {
    if (part.behind) this.#behind.add(part);
    else this.#behind.delete(part);
  }

  note(place: string, offset: number): void {
    const offsets = this.#offsets.get(place);
    if (offsets === undefined) this.#offsets.set(place, new Set([offset]));
    else offsets.add(offset);
  }

  /** Whether its retry was read before; asked once. */
  take(place: string, offset: number): boolean {
    const offsets = this.#offsets.get(place);
    if (offsets === undefined || !offsets.delete(offset)) return false;
    if (offsets.size === 0) this.#offsets.delete(place);
    return true;
  }

  forget(part: Part): void {
    this.#behind.delete(part);
    this.#offsets.delete(part.place);
  }
}
