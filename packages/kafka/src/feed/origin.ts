import { type InRecord, type OutRecord, readHeaders, writeHeaders } from '../driver/records.ts';
import { OWN } from '../wire/record.ts';
import type { Entry } from './entry.ts';
import type { Part } from './part.ts';

/** On a retry that waits in a topic of its own: where the record lies, and how it was. */
const ORIGIN = `${OWN}origin`;

/** Where a retry was published. */
export interface OriginPlace {
  readonly topic: string;
  /** Of that topic, and not of a later one of its name; undefined where it was not known, or an older version stored it. */
  readonly topicId?: string | undefined;
  readonly partition: number;
  readonly offset: number;
}

/** Where a retry comes from. */
export interface Origin extends OriginPlace {
  readonly busTopic: string;
  readonly timestamp: number;
  readonly level: number;
  /** Deliveries so far. */
  readonly attempts: number;
  /** Milliseconds since the epoch. */
  readonly due: number;
}

/** The record of `entry` as it waits for its retry: byte for byte, and one header more. */
export function toRetry(entry: Entry, due: number): OutRecord {
  const { record, part, level, attempt } = entry;
  const { key, value, headers, timestamp } = record.raw;
  const { topic, partition, options } = part;
  const origin = entry.origin ?? { topic, topicId: options.topicId, partition, offset: entry.offset };
  const says: Origin = { ...origin, busTopic: record.topic, timestamp, level, attempts: attempt, due };
  return {
    key,
    value,
    timestamp: Date.now(),
    headers: writeHeaders([...readHeaders(headers), [ORIGIN, JSON.stringify(says)]]),
  };
}

/** Whether a record is of another topic of that name than the part's: one that was deleted. */
export function isAnother(topicId: string | undefined, { options }: Pick<Part, 'options'>): boolean {
  return topicId !== undefined && options.topicId !== undefined && topicId !== options.topicId;
}

/** Undefined where it is none of ours. */
export function readOrigin(raw: InRecord): (Origin & { readonly headers: Buffer }) | undefined {
  const pairs = readHeaders(raw.headers);
  const last = pairs.pop();
  if (last === undefined || last[0] !== ORIGIN) return undefined;
  try {
    return { ...(JSON.parse(String(last[1])) as Origin), headers: writeHeaders(pairs) };
  } catch {
    return undefined;
  }
}
