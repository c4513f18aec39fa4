import type { BusRecord, Retention } from '@ambus/core';
import { Log } from './log.ts';

/** Kept where a topic says nothing: enough to look back, and too little to fill a process. */
const DEFAULT_RETENTION: Retention = Object.freeze({ maxMessages: 10_000 });

/** A durable topic: what is retained of it. What groups have not settled lies with them, whatever is retained. */
export class Topic {
  readonly name: string;
  readonly retention: Retention;
  readonly log: Log = new Log();
  readonly #maxMessages: number;
  readonly #maxAge: number;
  #lastTime = 0;

  constructor(name: string, retention: Retention) {
    const { maxMessages, maxAge } = retention;
    this.name = name;
    this.retention = maxMessages === undefined && maxAge === undefined ? DEFAULT_RETENTION : retention;
    this.#maxMessages = this.retention.maxMessages ?? Number.POSITIVE_INFINITY;
    this.#maxAge = this.retention.maxAge ?? Number.POSITIVE_INFINITY;
  }

  append(record: BusRecord, seq: number, now: number): void {
    // The log is searched by time, so a clock that was set back must not show in it.
    if (now > this.#lastTime) this.#lastTime = now;
    this.log.append(record, seq, this.#lastTime);
    this.trim(now);
  }

  /** Drops what is beyond the retention. */
  trim(now: number): void {
    const { log } = this;
    while (log.size > this.#maxMessages) log.dropOldest();
    const limit = now - this.#maxAge;
    while (log.size > 0 && log.oldest <= limit) log.dropOldest();
  }
}
