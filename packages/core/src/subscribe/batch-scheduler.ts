import type { Clock, Timer } from '../clock.ts';
import type { IncomingMessage } from './message.ts';
import type { Scheduler } from './scheduler.ts';

/** Limits of a `BatchScheduler`. */
export interface BatchLimits {
  /** Batches that run at a time. */
  readonly concurrency: number;
  /** Most messages in a batch. */
  readonly size: number;
  /** Milliseconds that the oldest waiting message waits for more: a maximum age, so a steady trickle cannot defer it. */
  readonly maxWait: number;
}

/**
 * Runs messages in batches, in order. A key that is in a running batch is left out of the next one, so of one key there
 * are never two batches at a time; within a batch its messages stand in order.
 */
export class BatchScheduler implements Scheduler {
  readonly #limits: BatchLimits;
  readonly #clock: Clock;
  readonly #admit: () => boolean;
  readonly #run: (batch: readonly IncomingMessage[]) => void;
  #queue: IncomingMessage[] = [];
  /** Keys in running batches, each with how many unsettled messages. */
  readonly #busy = new Map<string, number>();
  #running = 0;
  #added = 0;
  #timer: Timer | undefined;
  #due = false;
  #pumping = false;

  constructor(
    limits: BatchLimits,
    clock: Clock,
    admit: () => boolean,
    run: (batch: readonly IncomingMessage[]) => void,
  ) {
    this.#limits = limits;
    this.#clock = clock;
    this.#admit = admit;
    this.#run = run;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  add(message: IncomingMessage): void {
    if (message.order > 0) {
      // It was here before.
      this.#insert(message);
    } else {
      message.order = ++this.#added;
      this.#queue.push(message);
    }
    this.#arm();
  }

  again(message: IncomingMessage): void {
    this.laneFreed(message);
    this.#insert(message);
    this.#arm();
  }

  #insert(message: IncomingMessage): void {
    const behind = this.#queue.findIndex(({ order }) => order > message.order);
    this.#queue.splice(behind < 0 ? this.#queue.length : behind, 0, message);
  }

  #arm(): void {
    this.#timer ??= this.#clock.setTimeout(() => {
      this.#timer = undefined;
      this.#due = true;
      this.pump();
    }, this.#limits.maxWait);
  }

  slotFreed(): void {
    this.#running--;
  }

  laneFreed(message: IncomingMessage): void {
    const { key } = message.record;
    if (key === undefined) return;
    const left = (this.#busy.get(key) ?? 0) - 1;
    if (left > 0) this.#busy.set(key, left);
    else this.#busy.delete(key);
  }

  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (
      (this.#due || this.#queue.length >= this.#limits.size) &&
      this.#running < this.#limits.concurrency &&
      this.#queue.length > 0
    ) {
      const [batch, rest] = this.#collect();
      // Nothing may start now; what ends next pumps again.
      if (batch.length === 0 || !this.#admit()) break;
      this.#queue = rest;
      for (const { record } of batch) {
        if (record.key !== undefined) this.#busy.set(record.key, (this.#busy.get(record.key) ?? 0) + 1);
      }
      if (this.#queue.length === 0) {
        this.#due = false;
        this.#clock.clearTimeout(this.#timer);
        this.#timer = undefined;
      }
      this.#running++;
      this.#run(batch);
    }
    this.#pumping = false;
  }

  #collect(): [batch: IncomingMessage[], rest: IncomingMessage[]] {
    const batch: IncomingMessage[] = [];
    const rest: IncomingMessage[] = [];
    for (const message of this.#queue) {
      const { key } = message.record;
      const free = key === undefined || !this.#busy.has(key);
      (free && batch.length < this.#limits.size ? batch : rest).push(message);
    }
    return [batch, rest];
  }

  takeLane(message: IncomingMessage): readonly IncomingMessage[] {
    const { key } = message.record;
    if (key === undefined) return [];
    const lane = this.#queue.filter((other) => other.record.key === key);
    this.#queue = this.#queue.filter((other) => other.record.key !== key);
    return lane;
  }

  takeAll(): readonly IncomingMessage[] {
    return this.#queue.splice(0);
  }

  take(message: IncomingMessage): boolean {
    const at = this.#queue.indexOf(message);
    if (at >= 0) this.#queue.splice(at, 1);
    return at >= 0;
  }

  find(test: (message: IncomingMessage) => boolean): IncomingMessage | undefined {
    return this.#queue.find(test);
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
