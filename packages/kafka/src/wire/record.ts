import {
  type Arrival,
  type BusRecord,
  type Channel,
  type Extensions,
  fromHeaders,
  type HeaderStyle,
  type Headers,
  type PriorityLevel,
  toHeaders,
} from '@ambus/core';
import { type InRecord, type OutRecord, readHeaders, writeHeaders } from '../driver/records.ts';
import { plainRecord } from './plain.ts';

/** CloudEvents' Kafka protocol binding. */
export const STYLE: HeaderStyle = Object.freeze({ prefix: 'ce_', contentType: 'content-type' });

/** Headers of this package alone, between `ce_` and the application's: never seen by either. */
export const OWN = 'ambus-kafka-';

/** A record as it is produced. */
export function toKafka(record: BusRecord, timestamp: number): OutRecord {
  const { body } = record;
  return {
    key: record.key === undefined ? null : Buffer.from(record.key),
    value: body,
    headers: writeHeaders(Object.entries(toHeaders(record, STYLE))),
    timestamp,
  };
}

/** Where a record lies, as text; names it where it has no id of its own. */
export function placeText(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition}/${offset}`;
}

/** A fetched record, decoded when it is asked for: what is only acked or skipped costs nothing. */
export class KafkaRecord implements BusRecord {
  readonly channel: Channel;
  readonly raw: InRecord;
  readonly #topic: string;
  readonly #place: string;
  readonly #partition: number;
  readonly #exact: boolean;
  readonly #offset: number;
  #decoded: BusRecord | undefined;

  /**
   * @param topic - the bus topic, where the record does not tell
   * @param exact - whether it is that, whatever the record tells
   * @param offset - where it was published, where it lies elsewhere now
   */
  constructor(
    raw: InRecord,
    channel: Channel,
    topic: string,
    place: string,
    partition: number,
    exact = false,
    offset: number = raw.offset,
  ) {
    this.#offset = offset;
    this.#exact = exact;
    this.raw = raw;
    this.channel = channel;
    this.#topic = topic;
    this.#place = place;
    this.#partition = partition;
  }

  get #all(): BusRecord {
    this.#decoded ??= this.#decode();
    return this.#decoded;
  }

  #decode(): BusRecord {
    const { raw } = this;
    const arrival: Arrival = {
      topic: this.#topic,
      channel: this.channel,
      id: placeText(this.#place, this.#partition, this.#offset),
      time: raw.timestamp,
      key: raw.key === null ? undefined : raw.key.toString('utf8'),
    };
    const body = raw.value ?? EMPTY;
    const plain = this.channel === 'reply' ? undefined : plainRecord(raw.headers, body, arrival);
    if (plain !== undefined) return plain;
    const headers: Record<string, string> = {};
    for (const [name, value] of readHeaders(raw.headers)) {
      if (name.startsWith(OWN)) continue;
      // Not by assignment: "__proto__" is a header name like any other.
      Object.defineProperty(headers, name, {
        value: value === null ? '' : value.toString('utf8'),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return fromHeaders(headers, body, arrival, STYLE);
  }

  /** The same with bytes of its own: those that were fetched share one buffer with all that came along. */
  copy(): KafkaRecord {
    const { offset, timestamp, key, value, headers } = this.raw;
    const raw = {
      offset,
      timestamp,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: Buffer.from(headers),
    };
    return new KafkaRecord(
      raw,
      this.channel,
      this.#topic,
      this.#place,
      this.#partition,
      this.#exact,
      this.#offset,
    );
  }

  /** Where it was published. */
  placeOf(): readonly [topic: string, partition: number, offset: number] {
    return [this.#place, this.#partition, this.#offset];
  }

  get id(): string {
    return this.#all.id;
  }
  get topic(): string {
    return this.#exact ? this.#topic : this.#all.topic;
  }
  get body(): Uint8Array {
    return this.raw.value ?? EMPTY;
  }
  get time(): number {
    return this.#all.time;
  }
  get headers(): Headers | undefined {
    return this.#all.headers;
  }
  get key(): string | undefined {
    return this.#all.key;
  }
  get priority(): PriorityLevel {
    return this.#all.priority;
  }
  get source(): string | undefined {
    return this.#all.source;
  }
  get type(): string | undefined {
    return this.#all.type;
  }
  get contentType(): string | undefined {
    return this.#all.contentType;
  }
  get contentEncoding(): string | undefined {
    return this.#all.contentEncoding;
  }
  get dataSchema(): string | undefined {
    return this.#all.dataSchema;
  }
  get correlationId(): string | undefined {
    return this.#all.correlationId;
  }
  get causationId(): string | undefined {
    return this.#all.causationId;
  }
  get replyTo(): string | undefined {
    return this.#all.replyTo;
  }
  get traceparent(): string | undefined {
    return this.#all.traceparent;
  }
  get tracestate(): string | undefined {
    return this.#all.tracestate;
  }
  get expiresAt(): number | undefined {
    return this.#all.expiresAt;
  }
  get deliverAt(): number | undefined {
    return this.#all.deliverAt;
  }
  get deduplicationKey(): string | undefined {
    return this.#all.deduplicationKey;
  }
  get extensions(): Extensions | undefined {
    return this.#all.extensions;
  }
}

const EMPTY = new Uint8Array(0);
