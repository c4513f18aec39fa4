import type { Entry } from '../queue/entry.ts';
import type { ReadyQueue } from '../queue/ready.ts';
import { Lane } from './lane.ts';
import type { Member } from './member.ts';

/** The keys of a group that have records waiting or with a member; others take no memory. */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #ready: ReadyQueue;

  constructor(ready: ReadyQueue) {
    this.#ready = ready;
  }

  /** Adds a new record of `key`. */
  push(entry: Entry, key: string): void {
    const lane = this.#lane(key);
    lane.push(entry);
    if (lane.next === entry) this.#ready.push(entry);
  }

  /** Puts a record that comes again to its old place. */
  putBack(entry: Entry, key: string): void {
    const lane = entry.lane ?? this.#lane(key);
    if (!lane.blockedBy(entry)) lane.putBack(entry);
    this.offer(lane);
  }

  /** Brings what is the lane's turn into the ready queue, unless it is there. */
  offer(lane: Lane): void {
    const { next } = lane;
    if (next !== undefined && !next.queued) this.#ready.putBack(next);
  }

  lend(lane: Lane, entry: Entry, member: Member): void {
    lane.lend(entry, member);
    this.offer(lane);
  }

  /** The loan of `entry` is over for good. */
  settled(lane: Lane, entry: Entry): void {
    lane.returned();
    lane.unblock(entry);
    this.#tidy(lane);
  }

  /**
   * The loan of `entry` is over, and `again` will come in its place.
   *
   * @param block - whether later records of the key wait until `again` is acked
   */
  comesAgain(lane: Lane, entry: Entry, again: Entry, block: boolean): void {
    if (block || lane.blockedBy(entry)) lane.block(entry, again);
    lane.returned();
    this.#tidy(lane);
  }

  /** Removes what `keep` is false for. */
  retain(keep: (entry: Entry) => boolean): void {
    for (const lane of this.#lanes.values()) {
      lane.retain(keep);
      this.#tidy(lane);
    }
  }

  #lane(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(key);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  #tidy(lane: Lane): void {
    if (lane.empty) this.#lanes.delete(lane.key);
    else this.offer(lane);
  }
}
