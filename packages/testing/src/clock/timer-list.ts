/** One pending timer. */
export interface VirtualTimer {
  readonly due: number;
  /** Among timers due at the same time, the one that was set first runs first. */
  readonly order: number;
  readonly callback: () => void;
}

/** Pending timers, the next one first. */
export class TimerList {
  readonly #timers: VirtualTimer[] = [];

  get size(): number {
    return this.#timers.length;
  }

  get all(): readonly VirtualTimer[] {
    return this.#timers;
  }

  get next(): VirtualTimer | undefined {
    return this.#timers[0];
  }

  add(timer: VirtualTimer): void {
    this.#timers.splice(this.#placeOf(timer), 0, timer);
  }

  /** Removing one that is not there is harmless. */
  remove(timer: VirtualTimer): void {
    const place = this.#placeOf(timer);
    if (this.#timers[place] === timer) this.#timers.splice(place, 1);
  }

  /** Where the timer is, or would be. */
  #placeOf({ due, order }: VirtualTimer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#timers[middle]!;
      if (other.due < due || (other.due === due && other.order < order)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
