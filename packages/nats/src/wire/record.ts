import type { BusRecord, Channel, Extensions, Headers, PriorityLevel } from '@ambus/core';
import { type Fields, fieldsOf, NO_FIELDS, timeOf } from './fields.ts';
import { CONTENT_TYPE } from './headers.ts';

const NORMAL: PriorityLevel = 2;

/** What a record is read from. */
export interface WireMessage {
  /** The header block, each character a byte. */
  readonly headText: string | undefined;
  readonly body: Uint8Array;
}

/** A record as it arrived: its metadata is decoded when somebody asks. */
export class WireRecord implements BusRecord {
  readonly topic: string;
  readonly channel: Channel;
  readonly #message: WireMessage;
  readonly #source: string;
  readonly #number: number;
  readonly #arrival: number;
  #fields: Fields | undefined;

  /**
   * @param source - with `number`, for a message without an id
   * @param arrival - for a message without a time; milliseconds since the epoch
   */
  constructor(
    topic: string,
    channel: Channel,
    message: WireMessage,
    source: string,
    number: number,
    arrival: number,
  ) {
    this.topic = topic;
    this.channel = channel;
    this.#message = message;
    this.#source = source;
    this.#number = number;
    this.#arrival = arrival;
  }

  #all(): Fields {
    if (this.#fields === undefined) {
      const { headText } = this.#message;
      this.#fields = headText === undefined ? NO_FIELDS : fieldsOf(headText);
    }
    return this.#fields;
  }

  #get(name: string): string | undefined {
    return this.#all().shared.get(name);
  }

  get body(): Uint8Array {
    return this.#message.body;
  }
  get id(): string {
    return this.#all().id || `${this.#source}-${this.#number}`;
  }
  get time(): number {
    return this.#all().time ?? this.#arrival;
  }
  get headers(): Headers | undefined {
    return this.#all().shared.headers;
  }
  get key(): string | undefined {
    return this.#get('ce-partitionkey');
  }
  get priority(): PriorityLevel {
    const text = this.#get('ce-ambuspriority');
    return text !== undefined && /^[0-4]$/.test(text) ? (Number(text) as PriorityLevel) : NORMAL;
  }
  get source(): string | undefined {
    return this.#get('ce-source');
  }
  get type(): string | undefined {
    return this.#get('ce-type');
  }
  get contentType(): string | undefined {
    return this.#get(CONTENT_TYPE);
  }
  get contentEncoding(): string | undefined {
    return this.#get('ce-ambusencoding');
  }
  get dataSchema(): string | undefined {
    return this.#get('ce-dataschema');
  }
  get correlationId(): string | undefined {
    return this.#get('ce-correlationid');
  }
  get causationId(): string | undefined {
    return this.#get('ce-causationid');
  }
  get replyTo(): string | undefined {
    return this.#get('ce-ambusreplyto');
  }
  get traceparent(): string | undefined {
    return this.#get('ce-traceparent');
  }
  get tracestate(): string | undefined {
    return this.#get('ce-tracestate');
  }
  get expiresAt(): number | undefined {
    return timeOf(this.#get('ce-expirytime'));
  }
  get deliverAt(): number | undefined {
    return timeOf(this.#get('ce-ambusdeliverat'));
  }
  get deduplicationKey(): string | undefined {
    return this.#get('ce-ambusdeduplication');
  }
  get extensions(): Extensions | undefined {
    return this.#all().shared.extensions;
  }
}
