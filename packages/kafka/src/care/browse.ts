import { type Page, type StoredRecord, ValidationError } from '@ambus/core';
import { serverError } from '../driver/errors.ts';
import { fetch } from '../driver/log-requests.ts';
import { decodeBatches, type InRecord, readHeaders } from '../driver/records.ts';
import { CANCEL, REMOVE } from '../feed/part.ts';
import { offsetsAt, type Place } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import { DURABLE_KINDS, type Kind } from '../names.ts';
import type { KafkaTopic } from '../topics/catalog.ts';
import { KafkaRecord } from '../wire/record.ts';

/** A partition of a topic, as it lies now. */
export interface Extent extends Place {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
}

/** Where every part of a topic begins and ends; none when there is no such topic. */
export async function extents(hub: Hub, topic: string): Promise<Extent[]> {
  const kinds = new Map(DURABLE_KINDS.map((kind) => [hub.place(topic, kind), kind]));
  await hub.catalog.refresh([...kinds.keys()]);
  const topics = [...kinds.keys()].flatMap((name) => hub.catalog.known(name) ?? []);
  return extentsOf(hub, topics, (name) => kinds.get(name)!);
}

export async function extentsOf(
  hub: Hub,
  topics: readonly KafkaTopic[],
  kind: (name: string) => Kind,
): Promise<Extent[]> {
  const places = topics.flatMap(({ name, leaders }) =>
    leaders.map((_, partition) => ({ topic: name, partition })),
  );
  if (places.length === 0) return [];
  const [starts, ends] = await Promise.all([
    offsetsAt(hub.cluster, hub.catalog, places, 'earliest'),
    offsetsAt(hub.cluster, hub.catalog, places, 'end'),
  ]);
  const key = ({ topic, partition }: Place): string => `${topic}/${partition}`;
  const from = new Map(starts.map((one) => [key(one), one.offset]));
  return ends.map((one) => ({
    topic: one.topic,
    partition: one.partition,
    kind: kind(one.topic),
    start: from.get(key(one)) ?? 0,
    end: one.offset,
  }));
}

/** Reads one partition from `from` to `to`, in steps. */
export async function* scan(
  hub: Hub,
  { topic, partition }: Place,
  from: number,
  to: number,
): AsyncGenerator<readonly InRecord[]> {
  const { cluster, catalog, settings } = hub;
  let offset = from;
  while (offset < to) {
    const leader = catalog.known(topic)?.leaders[partition] ?? -1;
    if (leader < 0) return;
    const request = fetch([{ topic, partition, offset }], { ...settings, minBytes: 1, maxWait: 200 });
    const [answer] = await cluster.send(leader, request);
    if (answer === undefined) return;
    if (answer.error !== 0) throw serverError(answer.error, `reading "${topic}"`, topic);
    const { records, next } = await decodeBatches(answer.records, offset, answer.aborted);
    if (next === offset) return;
    offset = next;
    yield records.filter((record) => record.offset < to);
  }
}

interface Found {
  readonly at: number;
  readonly place: Place;
  readonly kind: Kind;
  readonly raw: InRecord;
}

/** The page of a topic that begins at `cursor`. */
export async function browse(
  hub: Hub,
  topic: string,
  cursor: string | undefined,
  limit: number,
): Promise<Page> {
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const parts = await extents(hub, topic);
  const now = Date.now();
  const found: Found[] = [];
  for (const part of parts) {
    const removed = new Set<number>();
    const here: Found[] = [];
    for await (const records of scan(hub, part, part.start, part.end)) {
      for (const raw of records) {
        const note = raw.value === null ? noteOf(raw) : undefined;
        if (note?.remove !== undefined) removed.add(note.remove);
        else if (note === undefined) here.push({ at: raw.timestamp, place: part, kind: part.kind, raw });
      }
    }
    for (const one of here) {
      if (removed.has(one.raw.offset)) continue;
      if (one.kind === 'd' && one.at > now) continue;
      if (after === undefined || compare(one, after) > 0) found.push(one);
    }
  }
  found.sort((a, b) => compare(a, keyOf(b)));
  const page = found.slice(0, limit);
  const records: StoredRecord[] = page.map(({ raw, place }) => ({
    record: new KafkaRecord(
      raw,
      'durable',
      topic,
      place.topic,
      place.partition,
      !hub.shared.has(hub.place(topic, 'main')),
    ),
    position: `${place.topic}/${place.partition}/${raw.offset}`,
  }));
  return { records, cursor: found.length > limit ? writeCursor(keyOf(page.at(-1)!)) : undefined };
}

/** Place in the order of a page: by time, and where that is the same by place. */
interface Key {
  readonly at: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

function keyOf({ at, place, raw }: Found): Key {
  return { at, topic: place.topic, partition: place.partition, offset: raw.offset };
}

function compare(one: Found, other: Key): number {
  const key = keyOf(one);
  if (key.at !== other.at) return key.at - other.at;
  if (key.topic !== other.topic) return key.topic < other.topic ? -1 : 1;
  return key.partition - other.partition || key.offset - other.offset;
}

function writeCursor({ at, topic, partition, offset }: Key): string {
  return `${at}.${partition}.${offset}.${topic}`;
}

function readCursor(cursor: string): Key {
  const parts = /^(\d+)\.(\d+)\.(\d+)\.([A-Za-z0-9._-]+)$/.exec(cursor);
  if (parts === null)
    throw new ValidationError(`cursor ${JSON.stringify(cursor)} is not one of this broker's`);
  return { at: Number(parts[1]), partition: Number(parts[2]), offset: Number(parts[3]), topic: parts[4]! };
}

/** What a record without a body says about another one. */
export function noteOf(raw: InRecord): { readonly remove?: number; readonly cancel?: string } | undefined {
  for (const [name, value] of readHeaders(raw.headers)) {
    if (name === REMOVE) return { remove: Number(value) };
    if (name === CANCEL) return { cancel: String(value) };
  }
  return undefined;
}
