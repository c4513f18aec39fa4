import type { BusRecord, Delivery } from '@ambus/core';
import type { Incoming } from '../link/driver.ts';

/** Waits in this process for its turn. */
export const HELD = 0;
/** With core. */
export const LENT = 1;
export const ACKED = 2;
/** Nacked, given back or lost. */
export const GONE = 3;

export type DeliveryState = 0 | 1 | 2 | 3;

/** One delivery, from its arrival to its settlement. */
export class Loan<Origin = unknown> implements Delivery {
  readonly record: BusRecord;
  readonly attempt: number;
  /** What brought it. */
  readonly origin: Origin;
  readonly rank: number;
  /** The record's number in the stream. */
  readonly seq: number;
  /** How often the server has delivered it; deliveries that were given back included. */
  readonly delivered: number;
  /** Where it is settled. */
  readonly reply: string;
  readonly native: unknown;
  state: DeliveryState = HELD;
  /** When its lease was last known to be renewed; milliseconds since the epoch. */
  renewed: number;

  constructor(
    record: BusRecord,
    message: Incoming,
    origin: Origin,
    rank: number,
    seq: number,
    delivered: number,
    attempt: number,
    now: number,
  ) {
    this.record = record;
    this.attempt = attempt;
    this.origin = origin;
    this.rank = rank;
    this.seq = seq;
    this.delivered = delivered;
    this.reply = message.reply;
    this.native = message.native;
    this.renewed = now;
  }
}
