import type { Space } from '../server/space.ts';
import type { Blocked } from './lane.ts';

/** Milliseconds between two looks: a key that waits for its retry waits about as long anyway. */
const LOOK = 1_000;
/** Records that are looked for at a time: after an outage each key of a lane may wait for one. */
const AT_ONCE = 16;

/** Finds out which nacked records were removed from the stream before they came again: their keys would wait for ever. */
export class Removed {
  readonly #space: Space;
  #looked = 0;
  #next = 0;
  #looking = false;

  constructor(space: Space) {
    this.#space = space;
  }

  /** Some of `blocked` at a time, in turn. */
  async among(blocked: Blocked): Promise<Blocked> {
    const now = Date.now();
    if (this.#looking || blocked.length === 0 || now - this.#looked < LOOK) return [];
    this.#looked = now;
    this.#looking = true;
    try {
      if (this.#next >= blocked.length) this.#next = 0;
      const some = blocked.slice(this.#next, this.#next + AT_ONCE);
      const { api, stream } = this.#space;
      const found = await Promise.all(some.map(([, seq]) => api.at(stream, seq)));
      const gone = some.filter((_, at) => found[at] === undefined);
      this.#next += some.length - gone.length;
      // Where one was removed, others were.
      if (gone.length > 0) this.#looked = 0;
      return gone;
    } catch {
      return [];
    } finally {
      this.#looking = false;
    }
  }
}
