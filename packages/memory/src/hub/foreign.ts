import { randomUUID } from 'node:crypto';
import { type BusRecord, type Channel, ValidationError } from '@ambus/core';

/** What a producer that does not know the bus sends: at least a topic and bytes. */
export interface RawRecord extends Partial<Omit<BusRecord, 'topic' | 'body'>> {
  readonly topic: string;
  readonly body: Uint8Array;
}

const CHANNELS: readonly Channel[] = ['durable', 'ephemeral', 'request', 'reply'];

/**
 * A whole record: what a server needs is filled in, what only the producer can know stays undefined.
 *
 * @throws {ValidationError} naming a field without which no server would take it
 */
export function complete(raw: RawRecord, now: number): BusRecord {
  const { priority = 2, channel = 'durable' } = raw;
  if (typeof raw.topic !== 'string' || raw.topic === '') wrong('topic', 'a string that is not empty');
  if (!(raw.body instanceof Uint8Array)) wrong('body', 'a Uint8Array');
  if (!CHANNELS.includes(channel)) wrong('channel', CHANNELS.join(', '));
  if (![0, 1, 2, 3, 4].includes(priority)) wrong('priority', '0 to 4');
  return {
    id: raw.id ?? randomUUID(),
    topic: raw.topic,
    channel,
    body: raw.body,
    time: raw.time ?? now,
    headers: raw.headers,
    key: raw.key,
    priority,
    source: raw.source,
    type: raw.type,
    contentType: raw.contentType,
    contentEncoding: raw.contentEncoding,
    dataSchema: raw.dataSchema,
    correlationId: raw.correlationId,
    causationId: raw.causationId,
    replyTo: raw.replyTo,
    traceparent: raw.traceparent,
    tracestate: raw.tracestate,
    expiresAt: raw.expiresAt,
    deliverAt: raw.deliverAt,
    deduplicationKey: raw.deduplicationKey,
    extensions: raw.extensions,
  };
}

function wrong(field: string, allowed: string): never {
  throw new ValidationError(`hub.publish: "${field}" must be ${allowed}`, { broker: 'memory' });
}
