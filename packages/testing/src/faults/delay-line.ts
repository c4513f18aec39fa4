import type { Clock, Timer } from '@ambus/core';

interface Waiting<T> {
  readonly item: T;
  readonly due: number;
}

/** Hands items on after a while, none before one that came earlier. */
export class DelayLine<T> {
  readonly #clock: () => Clock;
  readonly #arrive: (item: T) => void;
  #waiting: Waiting<T>[] = [];
  #timer: Timer | undefined;
  #held = false;

  constructor(clock: () => Clock, arrive: (item: T) => void) {
    this.#clock = clock;
    this.#arrive = arrive;
  }

  /** Whether what comes now arrives at once. */
  get isOpen(): boolean {
    return this.#waiting.length === 0 && !this.#held;
  }

  /** @param delay - milliseconds; with 0 it arrives at once, if nothing is in front of it */
  add(item: T, delay: number): void {
    if (delay === 0 && this.isOpen) {
      this.#arrive(item);
      return;
    }
    const due = Math.max(this.#clock().now() + delay, this.#waiting.at(-1)?.due ?? 0);
    this.#waiting.push({ item, due });
    this.#arm();
  }

  /** Nothing arrives until `go`. */
  hold(): void {
    this.#held = true;
    this.#arm();
  }

  go(): void {
    this.#held = false;
    this.#arm();
  }

  /** Takes out what `wanted` is true for. */
  take(wanted: (item: T) => boolean = () => true): T[] {
    const taken = this.#waiting.filter(({ item }) => wanted(item));
    this.#waiting = this.#waiting.filter((one) => !taken.includes(one));
    this.#arm();
    return taken.map(({ item }) => item);
  }

  #arm(): void {
    const clock = this.#clock();
    clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const first = this.#waiting[0];
    if (first === undefined || this.#held) return;
    this.#timer = clock.setTimeout(this.#fire, Math.max(0, first.due - clock.now()));
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    while (!this.#held && this.#waiting.length > 0 && this.#waiting[0]!.due <= this.#clock().now()) {
      this.#arrive(this.#waiting.shift()!.item);
    }
    this.#arm();
  };
}
