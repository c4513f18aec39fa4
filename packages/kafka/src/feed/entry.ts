import type { BusRecord, Delivery } from '@ambus/core';
import type { KafkaRecord } from '../wire/record.ts';
import type { Lane } from './lane.ts';
import type { OriginPlace } from './origin.ts';
import type { Part } from './part.ts';

export const WAITING = 0;
/** With core, or on its way there. */
export const OUT = 1;
export const SETTLED = 2;
/** Taken away: its slot is somebody else's. */
export const LOST = 3;
/** Never to be handed out by this object: its partition was given up, or it was removed. */
export const DROPPED = 4;

/** What a record takes in memory beside its bytes, about. */
const OVERHEAD = 512;

/** The driver's view of one message. */
export interface NativeMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** A record in a subscription; the delivery that core gets is this object, too. */
export class Entry implements Delivery {
  record: KafkaRecord;
  readonly part: Part;
  offset: number;
  /** Deliveries before it came here, where it lay elsewhere then. */
  before = 0;
  /** The id of the topic where it was published, where it lies elsewhere then and that is known. */
  originId: string | undefined = undefined;
  /** 0 critical to 4 background. */
  readonly level: number;
  /** Place in the order in which the subscription read its records. */
  readonly order: number;
  readonly key: string | undefined;
  /** The lane of its key, from when it is queued. */
  lane: Lane | undefined = undefined;
  attempt = 1;
  state: number = WAITING;
  /** Whether it stands in the ready queue. */
  ready = false;
  /** What is to be stored with its ack. */
  staged: BusRecord[] | undefined = undefined;

  constructor(record: KafkaRecord, part: Part, level: number, order: number) {
    this.record = record;
    this.part = part;
    this.offset = record.raw.offset;
    this.level = level;
    this.order = order;
    const { key } = record.raw;
    this.key = key === null ? undefined : key.toString('latin1');
  }

  /** What it takes in memory, about. */
  get bytes(): number {
    const { key, value, headers } = this.record.raw;
    return OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0) + headers.length;
  }

  /** Itself, with a copy of its bytes: they hold nothing else that was read with them. */
  apart(): this {
    this.record = this.record.copy();
    return this;
  }

  /** The same record for its next delivery. */
  again(): Entry {
    const entry = new Entry(this.record, this.part, this.level, this.order);
    entry.offset = this.offset;
    entry.before = this.before;
    entry.originId = this.originId;
    return entry;
  }

  /** Where it was published, where that is not its part. */
  get origin(): OriginPlace | undefined {
    if (this.part.kind !== 'q') return undefined;
    const [topic, partition, offset] = this.record.placeOf();
    return { topic, topicId: this.originId, partition, offset };
  }

  get native(): NativeMessage {
    const { offset, key, value } = this.record.raw;
    return { topic: this.part.topic, partition: this.part.partition, offset, key, value };
  }
}
