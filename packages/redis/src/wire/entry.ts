import { type BusRecord, type Channel, type Delivery, fromHeaders } from '@ambus/core';
import { Incoming, type RedisMessage } from './incoming.ts';

/** Which of a topic's streams: a priority of messages without a key, or `k` for those with one. */
export type Kind = '0' | '1' | '2' | '3' | '4' | 'k';

/** An entry of a stream as the server answers: its id, then names and values of its fields. */
export type RawEntry = readonly [id: Buffer, fields: readonly Buffer[]];

/** Names of the stream's fields. */
export const META = 'meta';
export const DATA = 'data';
export const KEY = 'key';

/** How foreign producers name the attributes that they give as fields of their own. */
const STYLE = { prefix: 'ce_', contentType: 'content-type' } as const;
const NOTHING: Buffer = Buffer.alloc(0);

/** Where a delivery lies, for settling it. */
export interface Stored extends Delivery {
  readonly kind: Kind;
  readonly streamTopic: string;
  readonly entryId: string;
  /** Its key as bytes, where it lies in the stream of keys. */
  readonly lane: Buffer;
  readonly native: RedisMessage;
  /** Under whose name it was read. */
  readonly holder: string;
}

/** An entry of a stream that the bus wrote. */
export class Entry extends Incoming implements Stored {
  readonly kind: Kind;
  readonly topic: string;
  readonly holder: string;
  readonly lane: Buffer;
  readonly #streamOf: (topic: string, kind: Kind) => string;
  readonly #id: Buffer;

  constructor(place: Place, id: Buffer, meta: Buffer, body: Uint8Array, lane: Buffer) {
    super(meta, body, place.attempt);
    this.kind = place.kind;
    this.topic = place.topic;
    this.holder = place.holder;
    this.#streamOf = place.streamOf;
    this.#id = id;
    this.lane = lane;
  }

  get channel(): Channel {
    return 'durable';
  }
  get streamTopic(): string {
    return this.topic;
  }
  get entryId(): string {
    return this.#id.toString('latin1');
  }
  get native(): RedisMessage {
    return { stream: this.#streamOf(this.topic, this.kind), id: this.entryId };
  }
  protected get place(): string {
    return `${this.entryId}-${this.kind}`;
  }
  protected get arrival(): number {
    return Number.parseInt(this.entryId, 10);
  }
}

/** What the entries of one answer share. */
export interface Place {
  readonly topic: string;
  readonly kind: Kind;
  readonly attempt: number;
  readonly holder: string;
  readonly streamOf: (topic: string, kind: Kind) => string;
}

/** Compared by their bytes: a string for each name of each message would cost more than the rest of its reading. */
const METAS = Buffer.from(META);
const DATAS = Buffer.from(DATA);
const KEYS = Buffer.from(KEY);

/** A delivery of an entry, whoever wrote it. */
export function readEntry([id, fields]: RawEntry, place: Place): Stored {
  const { length } = fields;
  if (length === 4 && METAS.equals(fields[0]!) && DATAS.equals(fields[2]!)) {
    return new Entry(place, id, fields[1]!, fields[3]!, NOTHING);
  }
  if (length === 6 && KEYS.equals(fields[0]!) && METAS.equals(fields[2]!) && DATAS.equals(fields[4]!)) {
    return new Entry(place, id, fields[3]!, fields[5]!, fields[1]!);
  }
  return foreign(id.toString('latin1'), fields, place);
}

/** Fields are headers, but for `data`, the body; `key` is the key where the stream is that of keys. */
function foreign(entryId: string, fields: readonly Buffer[], place: Place): Stored {
  const { topic, kind } = place;
  const headers: Record<string, string> = {};
  let body: Buffer = NOTHING;
  let lane: Buffer = NOTHING;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toString();
    const value = fields[at + 1]!;
    if (name === DATA) body = value;
    else if (name === KEY && kind === 'k') lane = value;
    else
      Object.defineProperty(headers, name, {
        value: value.toString(),
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  const record: BusRecord = fromHeaders(
    headers,
    body,
    {
      topic,
      channel: 'durable',
      id: `${entryId}-${kind}`,
      time: Number.parseInt(entryId, 10),
      key: kind === 'k' ? lane.toString() : undefined,
    },
    STYLE,
  );
  return {
    // Where it was found counts, not what it says of itself.
    record: { ...record, topic },
    attempt: place.attempt,
    native: { stream: place.streamOf(topic, kind), id: entryId },
    kind,
    streamTopic: topic,
    entryId,
    lane,
    holder: place.holder,
  };
}
