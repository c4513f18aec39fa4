import { isAnother } from './origin.ts';
import type { Part } from './part.ts';

/**
 * Retries that wait in the group's topic of retries, as seen from where they were published: there they are done. A crash
 * may have come between the two, so nothing is handed out before all retries that were stored by then are known.
 */
export class Moved {
  /** Records whose retries were read before they themselves, by part and offset: the ids of their topics. */
  readonly #ids = new Map<string, Map<number, (string | undefined)[]>>();
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

  note(place: string, offset: number, topicId: string | undefined): void {
    const offsets = this.#ids.get(place) ?? new Map<number, (string | undefined)[]>();
    this.#ids.set(place, offsets);
    offsets.set(offset, [...(offsets.get(offset) ?? []), topicId]);
  }

  /** Whether its retry was read before; asked once. */
  take(part: Part, offset: number): boolean {
    const offsets = this.#ids.get(part.place);
    const ids = offsets?.get(offset);
    if (offsets === undefined || ids === undefined) return false;
    offsets.delete(offset);
    if (offsets.size === 0) this.#ids.delete(part.place);
    return ids.some((topicId) => !isAnother(topicId, part));
  }

  forget(part: Part): void {
    this.#behind.delete(part);
    this.#ids.delete(part.place);
  }
}
