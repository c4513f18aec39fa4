import type { Origin } from './origin.ts';

/** Retries that are remembered before those that are done are looked for. */
const FEW = 1_000;

/**
 * The latest retry of each record in a group's topic of retries: the next one is stored before the one before is settled,
 * and a crash may have come in between.
 */
export class Latest {
  readonly #offsets = new Map<string, number>();
  #most = FEW;

  /**
   * Notes a retry.
   *
   * @returns where the one before lies, which is not to come any more
   */
  note(
    { topic, topicId = '', partition, offset }: Origin,
    at: number,
    done: (offset: number) => boolean,
  ): number | undefined {
    const place = `${topic}/${topicId}/${partition}/${offset}`;
    const before = this.#offsets.get(place);
    this.#offsets.set(place, at);
    if (this.#offsets.size > this.#most) this.#tidy(done);
    return before === undefined || done(before) ? undefined : before;
  }

  #tidy(done: (offset: number) => boolean): void {
    for (const [place, at] of this.#offsets) if (done(at)) this.#offsets.delete(place);
    this.#most = Math.max(FEW, this.#offsets.size * 2);
  }
}
