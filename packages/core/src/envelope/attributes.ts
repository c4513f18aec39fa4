import type { BusRecord, Channel, Extensions, Headers, PriorityLevel } from './record.ts';

/** How a protocol names things, as its CloudEvents binding says. */
export interface HeaderStyle {
  /** Before every attribute: `ce_` on Kafka, `ce-` on NATS, `cloudEvents:` on AMQP. */
  readonly prefix: string;
  /** Header of the content type, which the bindings keep apart. Most: `content-type`. */
  readonly contentType: string;
}

/** What the record's way tells that its headers may not: a foreign producer's message has none of ours. */
export interface Arrival {
  readonly topic: string;
  readonly channel: Channel;
  /** For a message without an id: its place on the server, so that a repetition has the same. */
  readonly id: string;
  /** For a message without a time: when the server took it. */
  readonly time: number;
  /** The protocol's own key, where it has one. */
  readonly key?: string | undefined;
}

type Text =
  | 'id'
  | 'source'
  | 'type'
  | 'dataSchema'
  | 'key'
  | 'correlationId'
  | 'causationId'
  | 'traceparent'
  | 'tracestate'
  | 'contentEncoding'
  | 'replyTo'
  | 'deduplicationKey';
type Time = 'time' | 'expiresAt' | 'deliverAt';

/**
 * Attributes by field. Where CloudEvents or one of its documented extensions has a name it is used (`partitionkey`,
 * `expirytime`, `correlationid`, `causationid`, `traceparent`, `tracestate`); the rest are extensions of ours.
 */
const TEXTS: readonly (readonly [field: Text, name: string])[] = [
  ['id', 'id'],
  ['source', 'source'],
  ['type', 'type'],
  ['dataSchema', 'dataschema'],
  ['key', 'partitionkey'],
  ['correlationId', 'correlationid'],
  ['causationId', 'causationid'],
  ['traceparent', 'traceparent'],
  ['tracestate', 'tracestate'],
  ['contentEncoding', 'ambusencoding'],
  ['replyTo', 'ambusreplyto'],
  ['deduplicationKey', 'ambusdeduplication'],
];
const TIMES: readonly (readonly [field: Time, name: string])[] = [
  ['time', 'time'],
  ['expiresAt', 'expirytime'],
  ['deliverAt', 'ambusdeliverat'],
];
const EXTENSIONS: readonly (readonly [field: keyof Extensions, name: string])[] = [
  ['delivery', 'ambusdelivery'],
  ['retry', 'ambusretry'],
  ['target', 'ambustarget'],
  ['deadLetter', 'ambusdeadletter'],
  ['error', 'ambuserror'],
  ['responder', 'ambusresponder'],
];
const PRIORITY = 'ambuspriority';
const TOPIC = 'ambustopic';
const SPEC_VERSION = 'specversion';
const NORMAL: PriorityLevel = 2;

/** Before an application's header whose own name would be taken for an attribute. */
const ESCAPE = 'ambus_';

/**
 * A record's metadata as headers of a protocol, CloudEvents 1.0 in binary mode. An application's header whose name would
 * collide with an attribute is carried as `ambus_<name>`; all others as they are.
 */
export function toHeaders(record: BusRecord, style: HeaderStyle): Record<string, string> {
  const { prefix } = style;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(record.headers ?? {})) {
    // Not by assignment: "__proto__" is a header name like any other.
    Object.defineProperty(headers, isReserved(name, style) ? ESCAPE + name : name, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  headers[`${prefix}${SPEC_VERSION}`] = '1.0';
  headers[`${prefix}${TOPIC}`] = record.topic;
  for (const [field, name] of TEXTS) {
    const value = record[field];
    if (value !== undefined) headers[`${prefix}${name}`] = value;
  }
  for (const [field, name] of TIMES) {
    const value = record[field];
    if (value !== undefined) headers[`${prefix}${name}`] = new Date(value).toISOString();
  }
  for (const [field, name] of EXTENSIONS) {
    const value = record.extensions?.[field];
    if (value !== undefined) headers[`${prefix}${name}`] = value;
  }
  if (record.priority !== NORMAL) headers[`${prefix}${PRIORITY}`] = String(record.priority);
  if (record.contentType !== undefined) headers[style.contentType] = record.contentType;
  return headers;
}

/** The record that arrived with these headers; what is missing or makes no sense falls back to `arrival`. */
export function fromHeaders(
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  arrival: Arrival,
  style: HeaderStyle,
): BusRecord {
  const { prefix } = style;
  const text = (name: string): string | undefined =>
    Object.hasOwn(headers, prefix + name) ? headers[prefix + name] : undefined;
  const time = (name: string): number | undefined => {
    const parsed = Date.parse(text(name) ?? '');
    return Number.isNaN(parsed) ? undefined : parsed;
  };
  const extensions: Record<string, string> = {};
  for (const [field, name] of EXTENSIONS) {
    const value = text(name);
    if (value !== undefined) extensions[field] = value;
  }
  return {
    id: text('id') || arrival.id,
    topic: arrival.channel === 'reply' ? arrival.topic : (text(TOPIC) ?? arrival.topic),
    channel: arrival.channel,
    body,
    time: time('time') ?? arrival.time,
    headers: applicationHeaders(headers, style),
    key: text('partitionkey') ?? arrival.key,
    priority: toPriority(text(PRIORITY)),
    source: text('source'),
    type: text('type'),
    contentType: Object.hasOwn(headers, style.contentType) ? headers[style.contentType] : undefined,
    contentEncoding: text('ambusencoding'),
    dataSchema: text('dataschema'),
    correlationId: text('correlationid'),
    causationId: text('causationid'),
    replyTo: text('ambusreplyto'),
    traceparent: text('traceparent'),
    tracestate: text('tracestate'),
    expiresAt: time('expirytime'),
    deliverAt: time('ambusdeliverat'),
    deduplicationKey: text('ambusdeduplication'),
    extensions: Object.keys(extensions).length === 0 ? undefined : (extensions as Extensions),
  };
}

function isReserved(name: string, { prefix, contentType }: HeaderStyle): boolean {
  return name.startsWith(prefix) || name === contentType || name.startsWith(ESCAPE);
}

function applicationHeaders(
  headers: Readonly<Record<string, string>>,
  style: HeaderStyle,
): Headers | undefined {
  const own = Object.entries(headers).flatMap(([name, value]): [string, string][] => {
    if (name.startsWith(ESCAPE)) return [[name.slice(ESCAPE.length), value]];
    return isReserved(name, style) ? [] : [[name, value]];
  });
  return own.length === 0 ? undefined : Object.freeze(Object.fromEntries(own));
}

function toPriority(value: string | undefined): PriorityLevel {
  return value !== undefined && /^[0-4]$/.test(value) ? (Number(value) as PriorityLevel) : NORMAL;
}
