import type { OutRecord, Producer } from '../driver/records.ts';
import type { PublishCall } from './call.ts';

/** A record on its way to one partition. */
export interface Item {
  readonly record: OutRecord;
  readonly size: number;
  readonly call: PublishCall;
  readonly index: number;
}

/**
 * What waits for one partition. Only one batch is under way at a time, so a batch that has to be sent again is never
 * overtaken; what is published meanwhile becomes the next one.
 */
export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  /** As the bus calls the topic, for errors. */
  readonly name: string;
  /** The batch under way, or to be sent again. */
  batch: Item[] | undefined = undefined;
  sending = false;
  /** Whether the batch has been sent before, so that it may have been stored. */
  tried = false;
  /** No attempt before this time. */
  notBefore = 0;
  /** Since when the first of those that wait does. */
  since = 0;
  /** Most items of the next batch; 1 after a batch was too large for the server. */
  most: number = Number.POSITIVE_INFINITY;
  /** Why the last attempt failed. */
  cause: unknown = undefined;
  #producer: Producer | undefined;
  #sequence = 0;
  #items: Item[] = [];
  #head = 0;

  constructor(topic: string, partition: number, name: string) {
    this.topic = topic;
    this.partition = partition;
    this.name = name;
  }

  get empty(): boolean {
    return this.batch === undefined && this.#head === this.#items.length;
  }

  push(item: Item, now: number): void {
    if (this.#head === this.#items.length) this.since = now;
    this.#items.push(item);
  }

  /** The batch to send now, or again; undefined where there is nothing (left) to send. */
  take(limit: number): Item[] | undefined {
    if (this.batch !== undefined) return this.batch;
    const batch: Item[] = [];
    let size = 0;
    while (this.#head < this.#items.length && batch.length < this.most) {
      const item = this.#items[this.#head]!;
      if (batch.length > 0 && size + item.size > limit) break;
      this.#head++;
      if (item.call.done(item.index)) continue;
      batch.push(item);
      size += item.size;
    }
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    if (batch.length === 0) return undefined;
    this.batch = batch;
    this.tried = false;
    return batch;
  }

  /** The sequence number under which the batch under way is (always) sent. */
  sequence(producer: Producer): number {
    if (this.#producer !== producer) {
      this.#producer = producer;
      this.#sequence = 0;
    }
    return this.#sequence;
  }

  /** The batch under way has been stored: the next one follows it. */
  stored(): void {
    this.#sequence = (this.#sequence + this.batch!.length) % 2 ** 31;
    this.batch = undefined;
    this.cause = undefined;
  }

  /** Puts the batch under way back before what waits. */
  putBack(): void {
    this.#items = [...(this.batch ?? []), ...this.waiting()];
    this.#head = 0;
    this.batch = undefined;
  }

  clear(): void {
    this.batch = undefined;
    this.#items = [];
    this.#head = 0;
  }

  *waiting(): Generator<Item> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at]!;
  }
}
