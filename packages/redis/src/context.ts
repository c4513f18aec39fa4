import type { BrokerHost } from '@ambus/core';
import type { Ears } from './channels/ears.ts';
import type { Session } from './driver/session.ts';
import type { Names } from './keys.ts';
import type { Settings } from './options.ts';

/** What the parts of one connected broker share. */
export interface Context {
  readonly host: BrokerHost;
  readonly settings: Settings;
  readonly names: Names;
  readonly session: Session;
  readonly ears: Ears;
  /** Milliseconds that a member stays one without a sign of life: less than the lease, as it takes a while to be noticed. */
  readonly memberLease: number;
  /** A name for one more consumer, unique over all buses. */
  nextMember(): string;
  /** The server has lost what it knew; tells the host once. */
  lostState(): void;
  /** Watches the list of topics and the leases from now on. */
  readonly members: Set<Membership>;
}

/** What is kept alive and up to date by the clock. */
export interface Membership {
  /** Looks at everything again: something may have come that nobody told of. */
  poll(): void;
  /** On each new connection, before it is used. */
  restore(): Promise<void>;
  /** The connection is gone. */
  interrupted(): void;
  /** What the server is to renew in this shard: group and member of each. */
  seatsIn(tag: string): readonly Sitting[];
  /** Topics came or went in this shard. */
  topicsChanged(tag: string): void;
}

/** One place in a group, as the beat sees it. */
export interface Sitting {
  readonly group: string;
  readonly member: string;
  /** The server has renewed the lease that was asked for at `since`, a time of the monotonic clock. */
  renewed(since: number): void;
  /** It has not: the member was given up, or its group is gone. */
  lost(isGroupGone: boolean, epoch: string): void;
}
