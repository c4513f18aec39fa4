import type { BusRecord, Delivery } from '@ambus/core';
import type { Lane } from '../group/lane.ts';
import type { Member } from '../group/member.ts';

/** In a queue, free to go. */
export const WAITING = 0;
/** Nacked, and its retry is not yet due. */
export const DELAYED = 1;
/** With a member. */
export const LENT = 2;
/** With a member, but the server has removed the record: it cannot come again. */
export const ORPHAN = 3;
/** Done. */
export const ACKED = 4;
/** Its loan ended without an ack, or its record was removed while it waited. */
export const ENDED = 5;

export type EntryState = 0 | 1 | 2 | 3 | 4 | 5;

/**
 * One record's place in one group's queue, and the delivery that core sees once it is lent. An entry is lent once: a
 * record that comes again does so as a new entry, so that a late settlement of the old one is recognised.
 */
export class Entry implements Delivery {
  readonly record: BusRecord;
  readonly attempt: number;
  /** The hub's publish order, over all topics. */
  readonly seq: number;
  state: EntryState = WAITING;
  /** Whether it lies in the ready queue. A keyed entry may lie there and not be its lane's turn. */
  queued = false;
  /** Who has it, or had it last. */
  member: Member | undefined = undefined;
  /** Its index in `Member.lent` while lent. */
  slot = 0;
  /** Its key's queue; undefined without a key. */
  lane: Lane | undefined = undefined;

  constructor(record: BusRecord, seq: number, attempt: number) {
    this.record = record;
    this.attempt = attempt;
    this.seq = seq;
  }

  get native(): BusRecord {
    return this.record;
  }
}
