import type { Clock, Timer } from '@ambus/core';
import { Deque } from '../queue/deque.ts';

/** Milliseconds that a message is under way: each draws its own from the range. */
export interface Latency {
  readonly min: number;
  readonly max: number;
}

interface Travelling {
  readonly due: number;
  readonly arrive: () => void;
}

/** One direction of a slow connection. What was sent first arrives first, whatever was drawn for it. */
export class Wire {
  readonly #clock: Clock;
  readonly #latency: Latency;
  readonly #travelling = new Deque<Travelling>();
  #timer: Timer | undefined;

  constructor(clock: Clock, latency: Latency) {
    this.#clock = clock;
    this.#latency = latency;
  }

  send(arrive: () => void): void {
    const { min, max } = this.#latency;
    this.#travelling.push({ due: this.#clock.now() + min + Math.random() * (max - min), arrive });
    this.#arm();
  }

  /** Cuts the wire: what is under way does not arrive. */
  cut(): void {
    while (this.#travelling.shift() !== undefined);
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    const first = this.#travelling.peek();
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimeout(this.#fire, Math.max(0, first.due - this.#clock.now()));
  }

  readonly #fire = (): void => {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let first = this.#travelling.peek(); first !== undefined && first.due <= now; ) {
      this.#travelling.shift();
      first.arrive();
      first = this.#travelling.peek();
    }
    this.#arm();
  };
}
