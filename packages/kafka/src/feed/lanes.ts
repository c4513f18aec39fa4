import type { Entry } from './entry.ts';
import { type Identity, Lane } from './lane.ts';
import type { ReadyQueue } from './ready.ts';

/** The keys of a subscription that have records waiting or with core; others take no memory. */
export class Lanes {
  /** Most records of one key that core has at a time: a slow key must leave room for the others. */
  readonly most: number;
  readonly #ready: ReadyQueue;
  readonly #lanes = new Map<string, Lane>();

  constructor(ready: ReadyQueue, most: number) {
    this.#ready = ready;
    this.most = most;
  }

  of(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(key);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  get size(): number {
    return this.#lanes.size;
  }

  /** What is dropped must not be in the ready queue any more: the next of its lane may come there. */
  drop(doomed: (entry: Identity) => boolean, each?: (entry: Entry) => void): void {
    for (const lane of [...this.#lanes.values()]) {
      lane.drop(doomed, each);
      this.tidy(lane);
    }
  }

  /** Brings what is the lane's turn into the ready queue. */
  offer(lane: Lane): void {
    const { next } = lane;
    if (next !== undefined && lane.lent < this.most) this.#ready.push(next);
  }

  /** Something of the lane was settled. */
  tidy(lane: Lane | undefined): void {
    if (lane === undefined) return;
    if (lane.empty) this.#lanes.delete(lane.key);
    else this.offer(lane);
  }
}
