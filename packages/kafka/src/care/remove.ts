import { type BusError, ConfigError, UnsupportedError } from '@ambus/core';
import { Code, isRefusal, serverError } from '../driver/errors.ts';
import { deleteRecords, type PartitionAnswer } from '../driver/log-requests.ts';
import { writeHeaders } from '../driver/records.ts';
import { CANCEL, REMOVE } from '../feed/part.ts';
import type { Place } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import type { Emptied } from '../news.ts';
import { PublishCall } from '../publish/call.ts';
import { KafkaRecord } from '../wire/record.ts';
import { deadIn } from './dead.ts';
import { type Extent, extents } from './extents.ts';
import { noteOf, scan } from './scan.ts';

/**
 * Removes single records. A log cannot, so a note behind them says that they are gone; where all before a place are, the
 * server deletes them for good.
 */
export async function remove(hub: Hub, topic: string, positions: readonly string[]): Promise<number> {
  const doomed = new Map<string, Set<number>>();
  for (const position of positions) {
    const at = position.lastIndexOf('/');
    const key = position.slice(0, at);
    const offset = Number(position.slice(at + 1));
    if (!Number.isInteger(offset)) continue;
    doomed.set(key, (doomed.get(key) ?? new Set()).add(offset));
  }
  const parts = (await extents(hub, topic)).filter((part) => doomed.has(`${part.topic}/${part.partition}`));
  let count = 0;
  for (const part of parts) {
    const wanted = doomed.get(`${part.topic}/${part.partition}`)!;
    const dead = await deadIn(hub, part);
    const going = [...wanted].filter(
      (offset) => offset >= part.start && offset < part.end && !dead.has(offset),
    );
    if (going.length === 0) continue;
    const says = going.map((offset) => [REMOVE, String(offset)] as const);
    await note(hub, topic, part, says);
    for (const offset of going) dead.add(offset);
    count += going.length;
    const before = Math.min(part.end, dead.endFrom(part.start));
    // Where the server does not, the note is enough.
    if (before > part.start) await truncate(hub, [{ ...part, before }]);
  }
  return count;
}

/**
 * Removes all records of a topic.
 *
 * @throws {UnsupportedError} where others lie between them
 * @throws {ConfigError} where this account may not, or the topic's `cleanup.policy` does not let anybody
 */
export async function purge(hub: Hub, topic: string): Promise<number> {
  refuseShared(hub, topic, 'emptied');
  const parts = await extents(hub, topic);
  const count = await depth(hub, parts);
  const answers = await truncate(
    hub,
    parts.filter(({ start, end }) => end > start).map((part) => ({ ...part, before: part.end })),
  );
  const gone = parts.filter(({ topic: name, partition }) =>
    answers.some((one) => one.error === 0 && one.topic === name && one.partition === partition),
  );
  await tell(
    hub,
    gone.map((part) => ({ topic: part.topic, partition: part.partition, before: part.end })),
  );
  const failed = answers.find(({ error }) => error !== 0);
  if (failed !== undefined) throw notEmptied(topic, failed);
  return count;
}

/** Members of groups have read ahead. Who does not hear it sees it by the log that they read on. */
async function tell(hub: Hub, emptied: readonly Emptied[]): Promise<void> {
  if (emptied.length === 0) return;
  for (const listener of hub.listeners) listener.emptied(emptied);
  await hub.announce({ emptied }).catch(() => {});
}

function notEmptied(topic: string, { topic: name, error }: PartitionAnswer): BusError {
  const context = { broker: 'kafka', topic };
  const doing = `emptying topic "${topic}" (Kafka topic "${name}")`;
  if (isRefusal(error)) return new ConfigError(`${doing}: this account may not delete from it`, context);
  if (error !== Code.policyViolation) return serverError(error, doing, topic);
  return new ConfigError(`${doing}: its "cleanup.policy" has no "delete", so the server refuses it`, context);
}

/** @throws {UnsupportedError} for a topic that shares its Kafka topic with others */
export function refuseShared(hub: Hub, topic: string, done: 'deleted' | 'emptied'): void {
  if (!hub.shares(topic)) return;
  const place = hub.place(topic, 'main');
  throw new UnsupportedError(
    `topic "${topic}" cannot be ${done}: it shares the Kafka topic "${place}" (option "kafkaTopic") with others`,
    { broker: 'kafka', topic },
  );
}

/** Offsets that are read for an exact depth; more than these are only counted by their ends and what is known of them. */
const COUNTED = 1_000;

/** How many records a topic has: at most that many where there are more than is worth reading. */
export async function depth(hub: Hub, parts: readonly Extent[]): Promise<number> {
  let count = 0;
  for (const part of parts) {
    const dead = await deadIn(hub, part, COUNTED);
    count += part.end - part.start - dead.size;
  }
  return count;
}

/** Removes what lies before a place; each answers for itself. */
async function truncate(
  hub: Hub,
  places: readonly (Place & { readonly before: number })[],
): Promise<readonly PartitionAnswer[]> {
  const answers: PartitionAnswer[] = [];
  const byLeader = new Map<number, (Place & { before: number })[]>();
  for (const place of places) {
    const leader = hub.catalog.known(place.topic)?.leaders[place.partition] ?? -1;
    if (leader >= 0) byLeader.set(leader, [...(byLeader.get(leader) ?? []), place]);
    else answers.push({ ...place, error: Code.leaderNotAvailable });
  }
  for (const [leader, list] of byLeader)
    answers.push(...(await hub.cluster.send(leader, deleteRecords(list, 5_000))));
  return answers;
}

/** Writes records without a body that say something about earlier ones of the partition. */
async function note(
  hub: Hub,
  topic: string,
  place: Place,
  says: readonly (readonly [name: string, value: string])[],
): Promise<void> {
  const call = new PublishCall(says.length, Date.now() + hub.settings.requestTimeout * 2);
  for (const [index, header] of says.entries()) {
    const record = { key: null, value: null, headers: writeHeaders([header]), timestamp: Date.now() };
    hub.publisher.add(place.topic, place.partition, topic, record, call, index);
  }
  hub.publisher.flush();
  await call.promise;
}

/** Milliseconds before a record is due from which on it is not taken back any more: its readers may not hear of it in time. */
const TOO_LATE = 60;

/** Takes a delayed record back. */
export async function cancel(
  hub: Hub,
  topic: string,
  id: string,
  token: string | undefined,
): Promise<boolean> {
  const name = hub.place(topic, 'd');
  const [found] = await hub.catalog.find([name]);
  if (found === undefined) return false;
  const all = (await extents(hub, topic)).filter((part) => part.topic === name);
  const parts = token === undefined ? all : all.filter(({ partition }) => String(partition) === token);
  for (const part of parts) {
    let due: number | undefined;
    for await (const { records } of scan(hub, part, part.start, part.end)) {
      for (const raw of records) {
        const said = raw.value === null ? noteOf(raw) : undefined;
        if (said?.cancel === id) due = undefined;
        else if (said === undefined && new KafkaRecord(raw, 'durable', topic, name, 0).id === id)
          due = raw.timestamp;
      }
    }
    if (due === undefined) continue;
    if (Date.now() > due - TOO_LATE) return false;
    await note(hub, topic, part, [[CANCEL, id]]);
    return true;
  }
  return false;
}
