import { type Page, type StoredRecord, ValidationError } from '@ambus/core';
import type { InRecord } from '../driver/records.ts';
import type { Hub } from '../hub.ts';
import { DURABLE_KINDS, type Kind } from '../names.ts';
import { foreignTopic } from '../topics/shared.ts';
import { KafkaRecord } from '../wire/record.ts';
import { deadIn } from './dead.ts';
import { type Extent, extents } from './extents.ts';
import { scan } from './scan.ts';

/** One partition on the way through a topic: its next message, and how to go on. */
interface Walk {
  readonly part: Extent;
  readonly messages: AsyncGenerator<Found>;
  head: Found | undefined;
  /** Behind what is in the page. */
  next: number;
}

interface Found {
  readonly raw: InRecord;
  readonly record: KafkaRecord;
}

/**
 * The page of a topic that begins at `cursor`: of all its partitions the oldest message comes first. Only this page is
 * read, and no more than one fetch of each partition is held at a time.
 */
export async function browse(
  hub: Hub,
  topic: string,
  cursor: string | undefined,
  limit: number,
): Promise<Page> {
  const starts = cursor === undefined ? undefined : readCursor(cursor);
  const walks: Walk[] = [];
  for (const part of await extents(hub, topic)) {
    const from = Math.max(part.start, starts?.get(placeOf(part)) ?? 0);
    const messages = messagesOf(hub, topic, part, from);
    const head = from < part.end ? await take(messages) : undefined;
    walks.push({ part, messages, head, next: from });
  }
  const records: StoredRecord[] = [];
  while (records.length < limit) {
    const walk = oldest(walks);
    if (walk === undefined) break;
    const { raw, record } = walk.head!;
    records.push({ record, position: `${walk.part.topic}/${walk.part.partition}/${raw.offset}` });
    walk.next = raw.offset + 1;
    walk.head = await take(walk.messages);
  }
  const more = oldest(walks) !== undefined;
  for (const { messages } of walks) await messages.return(undefined);
  return { records, cursor: more ? writeCursor(walks) : undefined };
}

async function take(messages: AsyncGenerator<Found>): Promise<Found | undefined> {
  const { done, value } = await messages.next();
  return done === true ? undefined : value;
}

/** The messages of one partition that belong to the topic, and are there to be seen. */
async function* messagesOf(hub: Hub, topic: string, part: Extent, from: number): AsyncGenerator<Found> {
  const main = hub.place(topic, 'main');
  const isShared = hub.shared.has(main);
  const name = isShared ? foreignTopic(main, topic) : topic;
  const now = Date.now();
  const dead = await deadIn(hub, part);
  for await (const { records } of scan(hub, part, from, part.end)) {
    for (const raw of records) {
      if (dead.has(raw.offset) || (part.kind === 'd' && raw.timestamp > now)) continue;
      const record = new KafkaRecord(raw, 'durable', name, part.topic, part.partition, !isShared);
      if (record.topic === topic) yield { raw, record };
    }
  }
}

function oldest(walks: readonly Walk[]): Walk | undefined {
  let first: Walk | undefined;
  for (const walk of walks) {
    if (walk.head === undefined) continue;
    if (first === undefined || walk.head.raw.timestamp < first.head!.raw.timestamp) first = walk;
  }
  return first;
}

function placeOf({ kind, partition }: { readonly kind: Kind; readonly partition: number }): string {
  return `${kind}.${partition}`;
}

/** Where each partition goes on. */
function writeCursor(walks: readonly Walk[]): string {
  return walks.map(({ part, next }) => `${placeOf(part)}.${next}`).join('~');
}

function readCursor(cursor: string): Map<string, number> {
  const starts = new Map<string, number>();
  for (const one of cursor.split('~')) {
    const [, kind, partition, next] = /^([a-z][a-z0-9]*)\.(\d+)\.(\d+)$/.exec(one) ?? [];
    if (kind === undefined || !DURABLE_KINDS.includes(kind as Kind))
      throw new ValidationError(`cursor ${JSON.stringify(cursor)} is not one of this broker's`);
    starts.set(placeOf({ kind: kind as Kind, partition: Number(partition) }), Number(next));
  }
  return starts;
}
