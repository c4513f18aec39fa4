import type { Sink, Source } from '@ambus/core';
import type { Wire } from '../link/wire.ts';
import type { Entry } from '../queue/entry.ts';
import type { Group } from './group.ts';
import type { Lane } from './lane.ts';

/** What a member needs of its bus's connection. */
export interface MemberLink {
  /** False while the connection is cut. */
  readonly up: boolean;
  /** Carries deliveries where a latency is simulated. */
  readonly inbound: Wire | undefined;
}

/** One subscription, as the server sees it. It outlives its group when the server loses its state. */
export class Member {
  readonly source: Source;
  readonly sink: Sink;
  readonly link: MemberLink;
  /** Where it belongs; undefined when its group is gone, or while it is not to be found behind a cut connection. */
  group: Group | undefined = undefined;
  /** What it has and has not settled, in no order. */
  readonly lent: Entry[] = [];
  /** Whether it stands on its group's rota. */
  open = false;
  paused = false;
  /** Most deliveries that it may have now. */
  #most = 0;
  /** Whether core was told that it has ended, or has ended it. */
  ended = false;
  /** Lanes whose next record is for this member only, and it had no credit. */
  stalled: Lane[] = [];
  #outbox: Entry[] = [];
  readonly #travelling = new Set<Entry[]>();

  constructor(source: Source, sink: Sink, link: MemberLink) {
    this.source = source;
    this.sink = sink;
    this.link = link;
    this.makeRoom(source.room);
  }

  /** @param room - for how many more than it has; undefined: for all of its prefetch */
  makeRoom(room: number = Number.POSITIVE_INFINITY): void {
    this.#most = Math.min(this.source.prefetch, this.lent.length + room);
  }

  get credit(): number {
    return this.#most - this.lent.length;
  }

  /** Most deliveries of one key at a time. */
  get laneLimit(): number {
    return Math.max(1, this.source.prefetch >> 2);
  }

  get able(): boolean {
    return !this.paused && this.link.up && this.credit > 0;
  }

  /** Takes an entry for the next hand-over. True when it is the first. */
  lend(entry: Entry): boolean {
    entry.member = this;
    entry.slot = this.lent.length;
    this.lent.push(entry);
    return this.#outbox.push(entry) === 1;
  }

  /** Forgets an entry that it has. */
  drop(entry: Entry): void {
    const last = this.lent.pop()!;
    if (last === entry) return;
    this.lent[entry.slot] = last;
    last.slot = entry.slot;
  }

  /** Gives what was lent since the last time to core, all at once. */
  handOver(): void {
    const batch = this.#outbox;
    if (batch.length === 0) return;
    this.#outbox = [];
    const { inbound } = this.link;
    if (inbound === undefined) {
      this.sink.deliver(batch);
      return;
    }
    this.#travelling.add(batch);
    inbound.send(() => {
      if (this.#travelling.delete(batch)) this.sink.deliver(batch);
    });
  }

  /** Stops what of one key is on its way to core and returns it. */
  recallLane(lane: Lane): Entry[] {
    const recalled: Entry[] = [];
    for (const batch of [...this.#travelling, this.#outbox]) {
      const others = batch.filter((entry) => entry.lane !== lane);
      recalled.push(...batch.filter((entry) => entry.lane === lane));
      batch.splice(0, batch.length, ...others);
    }
    return recalled;
  }

  /** Stops what is on its way to core and returns it. */
  recall(): Entry[] {
    const entries = [...this.#travelling, this.#outbox].flat();
    this.#travelling.clear();
    this.#outbox = [];
    return entries;
  }
}
