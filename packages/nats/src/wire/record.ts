import type { BusRecord, Channel, Extensions, Headers, PriorityLevel } from '@ambus/core';
import { applicationHeaders, CONTENT_TYPE, decodeHeaders, EXTENSIONS } from './headers.ts';

const NONE: ReadonlyMap<string, string> = new Map();
const NORMAL: PriorityLevel = 2;

/** A record as it arrived: its metadata is decoded when somebody asks. */
export class WireRecord implements BusRecord {
  readonly topic: string;
  readonly channel: Channel;
  readonly body: Uint8Array;
  readonly #head: Uint8Array | undefined;
  readonly #place: string;
  readonly #arrival: number;
  #fields: ReadonlyMap<string, string> | undefined;
  #headers: Headers | undefined | null = null;
  #extensions: Extensions | undefined | null = null;

  /**
   * @param head - the header block, if there is one
   * @param place - for a message without an id
   * @param arrival - for a message without a time; milliseconds since the epoch
   */
  constructor(
    topic: string,
    channel: Channel,
    head: Uint8Array | undefined,
    body: Uint8Array,
    place: string,
    arrival: number,
  ) {
    this.topic = topic;
    this.channel = channel;
    this.body = body;
    this.#head = head;
    this.#place = place;
    this.#arrival = arrival;
  }

  #get(name: string): string | undefined {
    this.#fields ??= this.#head === undefined ? NONE : decodeHeaders(this.#head);
    return this.#fields.get(name);
  }

  #time(name: string): number | undefined {
    const text = this.#get(name);
    if (text === undefined) return undefined;
    const time = Date.parse(text);
    return Number.isNaN(time) ? undefined : time;
  }

  get id(): string {
    return this.#get('ce-id') || this.#place;
  }
  get time(): number {
    return this.#time('ce-time') ?? this.#arrival;
  }
  get headers(): Headers | undefined {
    if (this.#headers === null) {
      this.#get('');
      this.#headers = applicationHeaders(this.#fields!);
    }
    return this.#headers;
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
    return this.#time('ce-expirytime');
  }
  get deliverAt(): number | undefined {
    return this.#time('ce-ambusdeliverat');
  }
  get deduplicationKey(): string | undefined {
    return this.#get('ce-ambusdeduplication');
  }
  get extensions(): Extensions | undefined {
    if (this.#extensions !== null) return this.#extensions;
    let extensions: Record<string, string> | undefined;
    for (const [field, name] of EXTENSIONS) {
      const value = this.#get(name);
      if (value === undefined) continue;
      extensions ??= {};
      extensions[field] = value;
    }
    this.#extensions = extensions as Extensions | undefined;
    return this.#extensions;
  }
}
