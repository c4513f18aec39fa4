import type { BusRecord } from '../envelope/record.ts';
import { uuidv7 } from '../envelope/uuid.ts';

/** Why and where a message failed. */
export interface DeadLetterInfo {
  /** `retries-exhausted`, `not-retryable`, `undecodable`, `rejected`, or what the handler gave as its reason. */
  readonly reason: string;
  readonly error:
    | { readonly name: string; readonly message: string; readonly code?: string; readonly stack?: string }
    | undefined;
  /** How often it was delivered to the group. */
  readonly attempts: number;
  /** Topic that it was published to. */
  readonly topic: string;
  /** Group that failed; undefined for a subscription without one. */
  readonly group: string | undefined;
  readonly pattern: string;
  /** When it failed for good; milliseconds since the epoch. */
  readonly time: number;
  /** The message's own id: the dead letter has one of its own, because two groups may fail at one message. */
  readonly messageId: string;
}

/** Characters of an error's message and of its stack that are kept: headers are small on most brokers. */
const MESSAGE_LENGTH = 2_000;
const STACK_LENGTH = 4_000;

/** The part of an error that can be stored, whatever was thrown. */
export function describeError(error: unknown): DeadLetterInfo['error'] {
  if (error === undefined) return undefined;
  if (!(error instanceof Error)) return { name: 'Error', message: text(error).slice(0, MESSAGE_LENGTH) };
  const { code, stack } = error as { code?: unknown; stack?: unknown };
  return {
    name: text(error.name),
    message: text(error.message).slice(0, MESSAGE_LENGTH),
    ...(typeof code === 'string' ? { code } : undefined),
    ...(typeof stack === 'string' ? { stack: stack.slice(0, STACK_LENGTH) } : undefined),
  };
}

/** Also of what has no text, such as an object without a prototype. */
function text(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'something that cannot be read was thrown';
  }
}

/** The consumer that a replayed message is meant for. */
export function consumerId(pattern: string, group: string | undefined): string {
  return `${group ?? ''}:${pattern}`;
}

/** The record that is stored for a message that failed for good. The body stays as it came, byte for byte. */
export function toDeadLetter(record: BusRecord, info: DeadLetterInfo, topic: string): BusRecord {
  return {
    ...copy(record),
    id: uuidv7(info.time),
    topic,
    channel: 'durable',
    priority: 2,
    expiresAt: undefined,
    deliverAt: undefined,
    deduplicationKey: undefined,
    replyTo: undefined,
    extensions: { ...record.extensions, target: undefined, deadLetter: JSON.stringify(info) },
  };
}

/** The record that puts a dead letter back before the consumer that failed at it. */
export function toReplay(record: BusRecord, info: DeadLetterInfo, channel: BusRecord['channel']): BusRecord {
  return {
    ...copy(record),
    id: info.messageId,
    topic: info.topic,
    channel,
    extensions: { ...record.extensions, deadLetter: undefined, target: consumerId(info.pattern, info.group) },
  };
}

/** The info in a dead letter; undefined where the record is none. */
export function readInfo(record: BusRecord): DeadLetterInfo | undefined {
  const encoded = record.extensions?.deadLetter;
  if (encoded === undefined) return undefined;
  try {
    const info: unknown = JSON.parse(encoded);
    return typeof info === 'object' && info !== null && 'messageId' in info
      ? (info as DeadLetterInfo)
      : undefined;
  } catch {
    return undefined;
  }
}

/** A plain copy: a broker's record may have getters, which spreading would lose. */
export function copy(record: BusRecord): BusRecord {
  return {
    id: record.id,
    topic: record.topic,
    channel: record.channel,
    body: record.body,
    time: record.time,
    headers: record.headers,
    key: record.key,
    priority: record.priority,
    source: record.source,
    type: record.type,
    contentType: record.contentType,
    contentEncoding: record.contentEncoding,
    dataSchema: record.dataSchema,
    correlationId: record.correlationId,
    causationId: record.causationId,
    replyTo: record.replyTo,
    traceparent: record.traceparent,
    tracestate: record.tracestate,
    expiresAt: record.expiresAt,
    deliverAt: record.deliverAt,
    deduplicationKey: record.deduplicationKey,
    extensions: record.extensions,
  };
}
