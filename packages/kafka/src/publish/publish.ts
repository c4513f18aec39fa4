import { asBusError, type BusError, type BusRecord, MessageTooLargeError, TimeoutError } from '@ambus/core';
import { MAX_HEADER_BYTES } from '../capabilities.ts';
import { wait } from '../driver/cluster.ts';
import type { OutRecord } from '../driver/records.ts';
import type { Hub } from '../hub.ts';
import { partitionOfAddress, repliesTopic } from '../inbox.ts';
import type { Kind } from '../names.ts';
import type { KafkaTopic } from '../topics/catalog.ts';
import { partitionOf } from '../wire/murmur2.ts';
import { toKafka } from '../wire/record.ts';
import { PublishCall } from './call.ts';

/** Which of a topic's Kafka topics a record goes to. */
export function kindOf(
  { channel, deliverAt, deduplicationKey, key, priority }: BusRecord,
  now: number,
): Kind {
  if (channel === 'request') return 'r';
  if (channel === 'ephemeral') return 'e';
  if (deliverAt !== undefined && deliverAt > now) return 'd';
  if (deduplicationKey !== undefined) return 'x';
  return key === undefined && priority !== 2 ? (`p${priority}` as Kind) : 'main';
}

/** Counts on over all records without a key: each partition gets its share. */
let turn = 0;

/** Sends records on their way, and resolves when all are stored. */
export function publish(hub: Hub, records: readonly BusRecord[], deadline: number): Promise<void> {
  const now = Date.now();
  if (records.length === 0) return Promise.resolve();
  if (now >= deadline) {
    return Promise.reject(new TimeoutError('the deadline of this publish has passed', { broker: 'kafka' }));
  }
  const call = new PublishCall(records.length, deadline);
  const unknown = new Map<string, { readonly kind: Kind; readonly indexes: number[] }>();
  for (let index = 0; index < records.length; index++) {
    const record = records[index]!;
    const refused = tooLarge(record, hub.settings.maxMessageBytes);
    if (refused !== undefined) {
      call.failed(index, refused);
      continue;
    }
    const kind = kindOf(record, now);
    const name = record.channel === 'reply' ? hub.names.replies : hub.place(record.topic, kind);
    const known = hub.queued.has(name) ? undefined : hub.catalog.known(name);
    const topic = lacks(known, record) ? undefined : known;
    const waiting = unknown.get(name);
    // None overtakes those of its topic that wait for it.
    if (waiting !== undefined) waiting.indexes.push(index);
    else if (topic === undefined) unknown.set(name, { kind, indexes: [index] });
    else add(hub, topic, record, kind, call, index);
  }
  for (const [name, { kind, indexes }] of unknown) {
    const before = hub.queued.get(name) ?? Promise.resolve();
    const running = before
      .then(() => later(hub, records, kind, indexes, call))
      .finally(() => {
        if (hub.queued.get(name) === running) hub.queued.delete(name);
      });
    hub.queued.set(name, running);
  }
  hub.publisher.flush();
  return call.promise;
}

/** Whether it is a reply to a partition that its topic does not have. */
function lacks(topic: KafkaTopic | undefined, { channel, topic: address }: BusRecord): boolean {
  return topic !== undefined && channel === 'reply' && partitionOfAddress(address) >= topic.leaders.length;
}

/** For topics that this bus has not seen yet. Of one kind, whatever is due by the time that they are found. */
async function later(
  hub: Hub,
  records: readonly BusRecord[],
  kind: Kind,
  indexes: readonly number[],
  call: PublishCall,
): Promise<void> {
  const first = records[indexes[0]!]!;
  let topic: KafkaTopic | undefined;
  let failure: BusError | undefined;
  while (topic === undefined) {
    try {
      // Made again with more partitions, perhaps, since it was last looked at.
      if (indexes.some((index) => lacks(hub.catalog.known(hub.names.replies), records[index]!)))
        await hub.catalog.refresh([hub.names.replies]);
      topic = first.channel === 'reply' ? await repliesTopic(hub) : await hub.topic(first.topic, kind);
    } catch (error) {
      failure = asBusError(error, { broker: 'kafka', topic: first.topic });
      if (!failure.retryable || Date.now() + AGAIN >= call.deadline) break;
      await wait(AGAIN);
    }
  }
  for (const index of indexes) {
    if (topic === undefined) call.failed(index, failure!);
    else add(hub, topic, records[index]!, kind, call, index);
  }
  hub.publisher.flush();
}

const AGAIN = 50;

function add(
  hub: Hub,
  topic: KafkaTopic,
  record: BusRecord,
  kind: Kind,
  call: PublishCall,
  index: number,
): void {
  if (record.channel === 'reply') {
    const partition = partitionOfAddress(record.topic);
    // Not one of ours: nobody reads it.
    if (partition < 0 || partition >= topic.leaders.length) {
      call.accepted(index);
      return;
    }
    const out = { ...toKafka(record, Date.now()), key: Buffer.from(record.topic) };
    hub.publisher.add(topic.name, partition, record.topic, out, call, index);
    return;
  }
  const out = toOut(record, kind);
  const partition = partitionFor(record, kind, out, topic);
  if (kind === 'd') hub.host.scheduled(record.id, `${partition}`);
  hub.publisher.add(topic.name, partition, record.topic, out, call, index);
}

/** The record as it is stored. */
export function toOut(record: BusRecord, kind: Kind): OutRecord {
  return toKafka(record, kind === 'd' ? record.deliverAt! : Date.now());
}

/** The partition of a topic that a record goes to. A delayed one always to the same: it may have to be found again. */
export function partitionFor(record: BusRecord, kind: Kind, { key }: OutRecord, topic: KafkaTopic): number {
  const { deduplicationKey, id } = record;
  const count = topic.leaders.length;
  topic.used = true;
  if (key !== null) return partitionOf(key, count);
  if (deduplicationKey !== undefined) return partitionOf(Buffer.from(deduplicationKey), count);
  return kind === 'd' ? partitionOf(Buffer.from(id), count) : turn++ % count;
}

export function tooLarge({ body, headers, topic }: BusRecord, limit: number): BusError | undefined {
  if (body.byteLength > limit) {
    return new MessageTooLargeError(
      `a message for "${topic}" has ${body.byteLength} bytes, at most ${limit} are allowed`,
      body.byteLength,
      limit,
      { topic, broker: 'kafka' },
    );
  }
  if (headers === undefined) return undefined;
  let size = 0;
  for (const [name, value] of Object.entries(headers))
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
  if (size <= MAX_HEADER_BYTES) return undefined;
  return new MessageTooLargeError(
    `the headers of a message for "${topic}" have ${size} bytes, at most ${MAX_HEADER_BYTES} are allowed`,
    size,
    MAX_HEADER_BYTES,
    { topic, broker: 'kafka' },
  );
}
