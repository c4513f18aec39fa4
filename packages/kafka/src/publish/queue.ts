import type { BusError } from '@ambus/core';
import type { OutRecord, Producer } from '../driver/records.ts';
import { type PublishCall, tooLate } from './call.ts';

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
  /** Whether the batch may have been stored: then it is only sent again as it was, under its number. */
  doubtful = false;
  /** No attempt before this time. */
  notBefore = 0;
  /** Since when the first of those that wait does. */
  since = 0;
  /** Bytes of those that wait. */
  bytes = 0;
  /** Since when the topic is not there; 0 while it is. */
  unknownSince = 0;
  /** Most items of the next batch; less than all after the server has refused one for something that is in it. */
  most: number = Number.POSITIVE_INFINITY;
  /** Why the last attempt failed. */
  cause: unknown = undefined;
  /** What its batches are numbered under. */
  producer: Producer | undefined = undefined;
  /** The sequence number under which the batch under way is (always) sent. */
  sequence = 0;
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
    this.bytes += item.size;
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
      this.bytes -= item.size;
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
    this.doubtful = false;
    return batch;
  }

  /** The batch under way has been stored: the next one follows it. */
  stored(): void {
    this.sequence = (this.sequence + this.batch!.length) % 2 ** 31;
    this.cause = undefined;
    this.#end();
  }

  /** Puts the batch under way back before what waits. */
  putBack(): void {
    for (const { size } of this.batch ?? []) this.bytes += size;
    this.#items = [...(this.batch ?? []), ...this.waiting()];
    this.#head = 0;
    this.#end();
  }

  /** None of the batch was stored, and none will be. */
  refuse(error: BusError): void {
    const { batch = [] } = this;
    this.#end();
    for (const { call, index } of batch) call.failed(index, error);
  }

  /**
   * Fails what is past its deadline in a batch that is not being sent, and drops it. A batch in doubt stays whole as long
   * as anybody waits for it: a part of it would have to go under another number, and might then lie there twice.
   *
   * @returns the identity that the queue gave up for it
   */
  dropExpired(now: number): Producer | undefined {
    if (this.batch === undefined) return undefined;
    for (const { call, index } of this.batch) {
      if (now >= call.deadline) call.failed(index, tooLate(this.name, this.cause));
    }
    const left = this.batch.filter(({ call, index }) => !call.done(index));
    if (left.length === this.batch.length || (this.doubtful && left.length > 0)) return undefined;
    const gaveUp = this.doubtful ? this.forgetProducer() : undefined;
    if (left.length === 0) this.#end();
    else this.batch = left;
    return gaveUp;
  }

  /** Nothing more is sent under its identity: what follows a batch in doubt has no number there. */
  forgetProducer(): Producer | undefined {
    const { producer } = this;
    this.producer = undefined;
    this.sequence = 0;
    this.doubtful = false;
    return producer;
  }

  /**
   * Fails everything.
   *
   * @returns the identity that the queue gave up for it
   */
  fail(error: BusError): Producer | undefined {
    const items = [...(this.batch ?? []), ...this.waiting()];
    const gaveUp =
      this.batch !== undefined && (this.doubtful || this.sending) ? this.forgetProducer() : undefined;
    this.#end();
    this.#items = [];
    this.#head = 0;
    this.bytes = 0;
    for (const { call, index } of items) call.failed(index, error);
    return gaveUp;
  }

  *waiting(): Generator<Item> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at]!;
  }

  #end(): void {
    this.batch = undefined;
    this.doubtful = false;
  }
}
