import type { Clock, Timer } from '@ambus/core';
import { Heap } from '../queue/heap.ts';

/** Something that happens at a time. */
export interface Timed {
  /** Milliseconds since the epoch. */
  readonly due: number;
  /** Set by the agenda: among those due at the same time, the first that was added comes first. */
  order: number;
  run(): void;
}

/** Everything that waits for a time, with one timer for all of it. */
export class Agenda {
  readonly #clock: Clock;
  readonly #items = new Heap<Timed>((a, b) => a.due < b.due || (a.due === b.due && a.order < b.order));
  #added = 0;
  #timer: Timer | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(item: Timed): void {
    item.order = this.#added++;
    this.#items.push(item);
    this.#arm();
  }

  /** Removes what `keep` is false for. */
  retain(keep: (item: Timed) => boolean): void {
    this.#items.retain(keep);
    this.#arm();
  }

  #arm(): void {
    const due = this.#items.peek()?.due ?? Number.POSITIVE_INFINITY;
    if (due === this.#armedFor) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#armedFor = due;
    if (due < Number.POSITIVE_INFINITY) {
      this.#timer = this.#clock.setTimeout(this.#fire, Math.max(0, due - this.#clock.now()));
    }
  }

  readonly #fire = (): void => {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    for (let top = this.#items.peek(); top !== undefined && top.due <= now; top = this.#items.peek()) {
      this.#items.pop();
      top.run();
    }
    this.#arm();
  };
}
