import type { Arrival, BusRecord, PriorityLevel } from '@ambus/core';
import { Reader } from '../driver/bytes.ts';

type Text =
  | 'id'
  | 'source'
  | 'type'
  | 'dataSchema'
  | 'correlationId'
  | 'causationId'
  | 'traceparent'
  | 'tracestate';

const TEXTS: ReadonlyMap<string, Text> = new Map([
  ['ce_id', 'id'],
  ['ce_source', 'source'],
  ['ce_type', 'type'],
  ['ce_dataschema', 'dataSchema'],
  ['ce_correlationid', 'correlationId'],
  ['ce_causationid', 'causationId'],
  ['ce_traceparent', 'traceparent'],
  ['ce_tracestate', 'tracestate'],
]);

interface Fields extends Partial<Record<Text, string>> {
  topic?: string;
  time?: string;
  key?: string;
  contentType?: string;
}

/**
 * The record of most messages, in one pass over its headers: what `fromHeaders` gives, at a quarter of its price.
 * Undefined where a header is none of the usual ones; that has to look then.
 */
export function plainRecord(headers: Buffer, body: Uint8Array, arrival: Arrival): BusRecord | undefined {
  const from = new Reader(headers);
  const fields: Fields = {};
  for (let left = from.varint(); left > 0; left--) {
    const length = from.varint();
    const name = headers.toString('latin1', from.offset, from.offset + length);
    from.offset += length;
    const size = from.varint();
    if (size < 0) return undefined;
    const start = from.offset;
    from.offset += size;
    if (name === 'ce_specversion') continue;
    const field = TEXTS.get(name) ?? OTHERS.get(name);
    if (field === undefined) return undefined;
    fields[field] = headers.toString('utf8', start, from.offset);
  }
  const time = Date.parse(fields.time ?? '');
  return {
    id: fields.id || arrival.id,
    topic: fields.topic ?? arrival.topic,
    channel: arrival.channel,
    body,
    time: Number.isNaN(time) ? arrival.time : time,
    headers: undefined,
    key: fields.key ?? arrival.key,
    priority: NORMAL,
    source: fields.source,
    type: fields.type,
    contentType: fields.contentType,
    contentEncoding: undefined,
    dataSchema: fields.dataSchema,
    correlationId: fields.correlationId,
    causationId: fields.causationId,
    replyTo: undefined,
    traceparent: fields.traceparent,
    tracestate: fields.tracestate,
    expiresAt: undefined,
    deliverAt: undefined,
    deduplicationKey: undefined,
    extensions: undefined,
  };
}

const OTHERS: ReadonlyMap<string, 'topic' | 'time' | 'key' | 'contentType'> = new Map([
  ['ce_ambustopic', 'topic'],
  ['ce_time', 'time'],
  ['ce_partitionkey', 'key'],
  ['content-type', 'contentType'],
]);

const NORMAL: PriorityLevel = 2;
