import type { Clock } from '@ambus/core';
import { Agenda } from './agenda.ts';
import { Dispatcher } from './dispatcher.ts';
import { Inboxes } from './inbox.ts';
import { Space, type SpaceTools } from './space.ts';

/** A bus, as the server sees it. */
export interface Peer {
  readonly busId: string;
  disconnect(): void;
  reconnect(): void;
  crash(): void;
  /** The server has lost its state. */
  wiped(): void;
  /** There may be room in a queue that was full. */
  roomMade(): void;
}

/** What a hub is behind its public face: everything that its buses share. */
export class Server implements SpaceTools {
  readonly clock: Clock;
  readonly agenda: Agenda;
  readonly dispatcher: Dispatcher = new Dispatcher(() => this.#roomMade());
  readonly inboxes: Inboxes = new Inboxes(this.dispatcher);
  readonly peers: Set<Peer> = new Set();
  readonly #spaces = new Map<string, Space>();
  /** Buses with publishes that wait for room. */
  readonly #crowded = new Set<Peer>();
  #seq = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    this.agenda = new Agenda(clock);
  }

  now(): number {
    return this.clock.now();
  }

  nextSeq(): number {
    return ++this.#seq;
  }

  space(prefix: string): Space {
    let space = this.#spaces.get(prefix);
    if (space === undefined) {
      space = new Space(this);
      this.#spaces.set(prefix, space);
    }
    return space;
  }

  /** Whether `peer` is to be told when there may be room. */
  awaitRoom(peer: Peer, waiting: boolean): void {
    if (waiting) this.#crowded.add(peer);
    else this.#crowded.delete(peer);
  }

  wipe(): void {
    for (const space of this.#spaces.values()) space.wipe();
    for (const peer of this.peers) peer.wiped();
    this.dispatcher.wake();
  }

  #roomMade(): void {
    if (this.#crowded.size === 0) return;
    const peers = [...this.#crowded];
    // Who is asked first may take all the room, so it is the last one next time.
    this.#crowded.delete(peers[0]!);
    this.#crowded.add(peers[0]!);
    for (const peer of peers) peer.roomMade();
  }
}
