import type { IncomingMessage } from './message.ts';

/** What a consumer keeps its waiting messages in. */
export interface Scheduler {
  /** Messages that wait for their turn. */
  readonly waiting: number;
  add(message: IncomingMessage): void;
  /** Adds one whose key's lane it still holds, to run before the others of its key. */
  again(message: IncomingMessage): void;
  /** A handler ended: its slot is free. */
  slotFreed(): void;
  /** A message is settled: the next of its key may run. */
  laneFreed(message: IncomingMessage): void;
  /** Starts what may start. */
  pump(): void;
  /** Takes away those waiting behind `message` in its lane. */
  takeLane(message: IncomingMessage): readonly IncomingMessage[];
  /** Takes away all that wait. */
  takeAll(): readonly IncomingMessage[];
  /** Takes away one, if it waits. */
  take(message: IncomingMessage): boolean;
  /** Finds the one that waits for which `test` holds. */
  find(test: (message: IncomingMessage) => boolean): IncomingMessage | undefined;
  /** Forgets timers. */
  stop(): void;
}

/**
 * Runs messages one by one, up to `concurrency` at a time, first come first served; of one key never two at a time. A
 * message whose key is busy waits in that key's lane and holds up nobody else.
 */
export class SingleScheduler implements Scheduler {
  readonly #concurrency: number;
  readonly #admit: () => boolean;
  readonly #run: (message: IncomingMessage) => void;
  #ready: IncomingMessage[] = [];
  #head = 0;
  /** Busy keys, each with what waits behind. */
  readonly #lanes = new Map<string, IncomingMessage[]>();
  #inLanes = 0;
  #running = 0;
  #pumping = false;

  /**
   * @param admit - asked before each start
   * @param run - starts one; must not throw
   */
  constructor(concurrency: number, admit: () => boolean, run: (message: IncomingMessage) => void) {
    this.#concurrency = concurrency;
    this.#admit = admit;
    this.#run = run;
  }

  get waiting(): number {
    return this.#ready.length - this.#head + this.#inLanes;
  }

  add(message: IncomingMessage): void {
    const { key } = message.record;
    if (key !== undefined) {
      const lane = this.#lanes.get(key);
      if (lane !== undefined) {
        lane.push(message);
        this.#inLanes++;
        return;
      }
      this.#lanes.set(key, []);
    }
    this.#ready.push(message);
  }

  again(message: IncomingMessage): void {
    if (this.#head > 0) this.#ready[--this.#head] = message;
    else this.#ready.unshift(message);
  }

  slotFreed(): void {
    this.#running--;
  }

  laneFreed(message: IncomingMessage): void {
    const { key } = message.record;
    if (key === undefined) return;
    const next = this.#lanes.get(key)?.shift();
    if (next === undefined) {
      this.#lanes.delete(key);
    } else {
      this.#inLanes--;
      this.#ready.push(next);
    }
  }

  pump(): void {
    // A handler that is done at once comes back here from inside `run`; the loop outside goes on with it.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#head < this.#ready.length && this.#running < this.#concurrency && this.#admit()) {
      const message = this.#ready[this.#head]!;
      this.#ready[this.#head++] = undefined as unknown as IncomingMessage;
      if (this.#head === this.#ready.length) {
        this.#ready.length = 0;
        this.#head = 0;
      } else if (this.#head === 1024) {
        this.#ready.splice(0, 1024);
        this.#head = 0;
      }
      this.#running++;
      this.#run(message);
    }
    this.#pumping = false;
  }

  takeLane(message: IncomingMessage): readonly IncomingMessage[] {
    const { key } = message.record;
    const lane = key === undefined ? undefined : this.#lanes.get(key);
    if (lane === undefined) return [];
    this.#inLanes -= lane.length;
    return lane.splice(0);
  }

  takeAll(): readonly IncomingMessage[] {
    const ready = this.#ready.slice(this.#head);
    this.#ready = [];
    this.#head = 0;
    // A lane that waited in `ready` and not in a handler is free now.
    const lanes: IncomingMessage[] = [];
    for (const lane of this.#lanes.values()) lanes.push(...lane.splice(0));
    for (const message of ready) if (message.record.key !== undefined) this.#lanes.delete(message.record.key);
    this.#inLanes = 0;
    return [...ready, ...lanes];
  }

  take(message: IncomingMessage): boolean {
    const at = this.#ready.indexOf(message, this.#head);
    if (at >= 0) {
      this.#ready.splice(at, 1);
      this.laneFreed(message);
      return true;
    }
    const lane = message.record.key === undefined ? undefined : this.#lanes.get(message.record.key);
    const place = lane?.indexOf(message) ?? -1;
    if (place < 0) return false;
    lane!.splice(place, 1);
    this.#inLanes--;
    return true;
  }

  find(test: (message: IncomingMessage) => boolean): IncomingMessage | undefined {
    for (let at = this.#head; at < this.#ready.length; at++)
      if (test(this.#ready[at]!)) return this.#ready[at];
    for (const lane of this.#lanes.values()) {
      const found = lane.find(test);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  stop(): void {}
}
