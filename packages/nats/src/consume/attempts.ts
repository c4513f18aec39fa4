import type { Incoming } from '../link/driver.ts';
import type { Space } from '../server/space.ts';
import { type Place, placeOf } from '../wire/place.ts';
import { releasesOf } from './releases.ts';

/** Numbers that are remembered of what nobody has seen. */
const MOST_MISSED = 10_000;

export interface AttemptsOwner {
  /** The attempt of the record is known. `since` is when its lease began, by our clock. */
  attemptKnown(message: Incoming, place: Place, attempt: number, since: number): void;
  /** All that had to wait has been told. */
  changed(): void;
}

/** Tells at which attempt a record comes. What comes behind one that has to be looked up keeps its place. */
export class Attempts {
  readonly #space: Space;
  readonly #consumer: string;
  readonly #owner: AttemptsOwner;
  /** Behind one that is being looked up. */
  #queue: Incoming[] = [];
  /** When the first of them came. */
  #queuedSince = 0;
  #lookedUp: readonly Incoming[] = [];
  #looking: Promise<void> | undefined;
  /** Times that everything was lost. */
  #losses = 0;
  /** How often what the server has sent was seen by nobody, by number: it counts that, and nobody else should. */
  readonly #missed = new Map<number, number>();

  constructor(space: Space, consumer: string, owner: AttemptsOwner) {
    this.#space = space;
    this.#consumer = consumer;
    this.#owner = owner;
  }

  /** Resolves when nothing waits any more; undefined where nothing does. */
  get idle(): Promise<void> | undefined {
    return this.#looking;
  }

  get waiting(): number {
    return this.#queue.length + this.#lookedUp.length;
  }

  /** The highest number that waits; 0 for none. */
  get top(): number {
    return Math.max(0, ...[...this.#queue, ...this.#lookedUp].map(({ reply }) => placeOf(reply).seq));
  }

  /** This delivery was seen by nobody. */
  miss(seq: number): void {
    // What comes again goes to another member at times, and is not heard of here any more.
    if (this.#missed.size >= MOST_MISSED) this.#missed.clear();
    this.#missed.set(seq, (this.#missed.get(seq) ?? 0) + 1);
  }

  /** It was settled, or seen by somebody else. */
  forget(seq: number): void {
    this.#missed.delete(seq);
  }

  /** What waits is not ours any more. */
  drop(): void {
    this.#queue = [];
    this.#losses++;
  }

  read(messages: readonly Incoming[]): void {
    if (this.#looking !== undefined) {
      this.#wait(messages);
      return;
    }
    const now = Date.now();
    for (let at = 0; at < messages.length; at++) {
      const message = messages[at]!;
      const place = placeOf(message.reply);
      if (place.delivered > 1) {
        this.#wait(messages.slice(at));
        this.#looking = this.#lookUp();
        return;
      }
      this.#owner.attemptKnown(message, place, 1, now);
    }
  }

  #wait(messages: readonly Incoming[]): void {
    if (this.#queue.length === 0) this.#queuedSince = Date.now();
    this.#queue.push(...messages);
  }

  async #lookUp(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0);
      const losses = this.#losses;
      // Their leases began when they came.
      const since = this.#queuedSince;
      this.#lookedUp = batch;
      const places = batch.map(({ reply }) => placeOf(reply));
      const releases = await Promise.all(
        places.map(({ seq, delivered }) =>
          delivered > 1 ? releasesOf(this.#space, this.#consumer, seq) : 0,
        ),
      );
      this.#lookedUp = [];
      // Not its own any more.
      if (losses !== this.#losses) continue;
      for (const [at, message] of batch.entries()) {
        const place = places[at]!;
        const missed = this.#missed.get(place.seq) ?? 0;
        this.#missed.delete(place.seq);
        this.#owner.attemptKnown(
          message,
          place,
          Math.max(place.delivered - releases[at]! - missed, 1),
          since,
        );
      }
    }
    this.#looking = undefined;
    this.#owner.changed();
  }
}
