import type { BusRecord, Channel, Delivery, Extensions, Headers, PriorityLevel } from '@ambus/core';
import { Meta } from './attributes.ts';
import { TEXTS, TIMES, TOPIC } from './encode.ts';

/** What a message's native side shows: where it lies on the server. */
export interface RedisMessage {
  /** The stream, or the Pub/Sub channel. */
  readonly stream: string;
  /** Id of the stream's entry; empty on Pub/Sub. */
  readonly id: string;
}

/**
 * A message that came with a meta of ours. One object is the record and its delivery: at a hundred thousand a second a
 * second object for each shows. Nothing is decoded before somebody asks.
 */
export abstract class Incoming implements BusRecord, Delivery {
  abstract readonly native: RedisMessage;
  abstract readonly topic: string;
  abstract readonly channel: Channel;
  readonly body: Uint8Array;
  readonly attempt: number;
  readonly #source: Buffer;
  #decoded: Meta | undefined;

  constructor(meta: Buffer, body: Uint8Array, attempt: number) {
    this.#source = meta;
    this.body = body;
    this.attempt = attempt;
  }

  get record(): BusRecord {
    return this;
  }

  protected get meta(): Meta {
    this.#decoded ??= new Meta(this.#source.toString());
    return this.#decoded;
  }

  /** Where it lies, for a message that has no id of its own. */
  protected abstract get place(): string;
  /** When the server took it; milliseconds since the epoch. */
  protected abstract get arrival(): number;

  get id(): string {
    return this.meta.id || this.place;
  }
  get time(): number {
    return this.meta.time ?? this.arrival;
  }
  get headers(): Headers | undefined {
    return this.meta.headers;
  }
  get key(): string | undefined {
    return this.meta.text(TEXTS.key);
  }
  get priority(): PriorityLevel {
    return this.meta.priority;
  }
  get source(): string | undefined {
    return this.meta.text('source');
  }
  get type(): string | undefined {
    return this.meta.text('type');
  }
  get contentType(): string | undefined {
    return this.meta.text('datacontenttype');
  }
  get contentEncoding(): string | undefined {
    return this.meta.text('ambusencoding');
  }
  get dataSchema(): string | undefined {
    return this.meta.text('dataschema');
  }
  get correlationId(): string | undefined {
    return this.meta.text(TEXTS.correlationId);
  }
  get causationId(): string | undefined {
    return this.meta.text(TEXTS.causationId);
  }
  get replyTo(): string | undefined {
    return this.meta.text(TEXTS.replyTo);
  }
  get traceparent(): string | undefined {
    return this.meta.text(TEXTS.traceparent);
  }
  get tracestate(): string | undefined {
    return this.meta.text(TEXTS.tracestate);
  }
  get expiresAt(): number | undefined {
    return this.meta.date(TIMES.expiresAt);
  }
  get deliverAt(): number | undefined {
    return this.meta.date(TIMES.deliverAt);
  }
  get deduplicationKey(): string | undefined {
    return this.meta.text(TEXTS.deduplicationKey);
  }
  get extensions(): Extensions | undefined {
    return this.meta.extensions;
  }
}

/** A message of Pub/Sub. */
export class Frame extends Incoming {
  readonly channel: Channel;
  readonly #channelName: string;
  readonly #arrival = Date.now();

  constructor(meta: Buffer, body: Uint8Array, channel: Channel, channelName: string) {
    super(meta, body, 1);
    this.channel = channel;
    this.#channelName = channelName;
  }

  get topic(): string {
    return this.meta.text(TOPIC) ?? '';
  }
  get native(): RedisMessage {
    return { stream: this.#channelName, id: '' };
  }
  protected get place(): string {
    return `${this.#channelName} ${this.#arrival}`;
  }
  protected get arrival(): number {
    return this.#arrival;
  }
}
