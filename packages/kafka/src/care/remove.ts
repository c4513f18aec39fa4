import { deleteRecords } from '../driver/log-requests.ts';
import { writeHeaders } from '../driver/records.ts';
import { CANCEL, REMOVE } from '../feed/part.ts';
import type { Place } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import { PublishCall } from '../publish/call.ts';
import { KafkaRecord } from '../wire/record.ts';
import { type Extent, extents, noteOf, scan } from './browse.ts';

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
    const { live } = await liveOffsets(hub, part);
    const going = [...wanted].filter((offset) => live.has(offset));
    if (going.length === 0) continue;
    await note(
      hub,
      part,
      going.map((offset) => [REMOVE, String(offset)] as const),
    );
    for (const offset of going) live.delete(offset);
    count += going.length;
    const before = live.size === 0 ? part.end : Math.min(...live);
    if (before > part.start) await truncate(hub, [{ ...part, before }]);
  }
  return count;
}

/** Removes all records of a topic. */
export async function purge(hub: Hub, topic: string): Promise<number> {
  const parts = await extents(hub, topic);
  let count = 0;
  for (const part of parts) count += (await liveOffsets(hub, part)).live.size;
  await truncate(
    hub,
    parts.filter(({ start, end }) => end > start).map((part) => ({ ...part, before: part.end })),
  );
  return count;
}

/** How many records a topic has. */
export async function depth(hub: Hub, parts: readonly Extent[]): Promise<number> {
  let count = 0;
  for (const part of parts) count += (await liveOffsets(hub, part)).live.size;
  return count;
}

async function liveOffsets(hub: Hub, part: Extent): Promise<{ live: Set<number> }> {
  const live = new Set<number>();
  const removed: number[] = [];
  const ids = new Map<string, number>();
  for await (const records of scan(hub, part, part.start, part.end)) {
    for (const raw of records) {
      const said = raw.value === null ? noteOf(raw) : undefined;
      if (said?.remove !== undefined) removed.push(said.remove);
      else if (said?.cancel !== undefined) removed.push(ids.get(said.cancel) ?? -1);
      else {
        live.add(raw.offset);
        if (part.kind === 'd') ids.set(new KafkaRecord(raw, 'durable', '', '', 0).id, raw.offset);
      }
    }
  }
  for (const offset of removed) live.delete(offset);
  return { live };
}

async function truncate(hub: Hub, places: readonly (Place & { readonly before: number })[]): Promise<void> {
  const byLeader = new Map<number, (Place & { before: number })[]>();
  for (const place of places) {
    const leader = hub.catalog.known(place.topic)?.leaders[place.partition] ?? -1;
    if (leader >= 0) byLeader.set(leader, [...(byLeader.get(leader) ?? []), place]);
  }
  for (const [leader, list] of byLeader) await hub.cluster.send(leader, deleteRecords(list, 5_000));
}

/** Writes records without a body that say something about earlier ones of the partition. */
async function note(
  hub: Hub,
  place: Place,
  says: readonly (readonly [name: string, value: string])[],
): Promise<void> {
  const call = new PublishCall(says.length, Date.now() + hub.settings.requestTimeout * 2);
  for (const [index, header] of says.entries()) {
    const record = { key: null, value: null, headers: writeHeaders([header]), timestamp: Date.now() };
    hub.publisher.add(place.topic, place.partition, place.topic, record, call, index);
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
    for await (const records of scan(hub, part, part.start, part.end)) {
      for (const raw of records) {
        const said = raw.value === null ? noteOf(raw) : undefined;
        if (said?.cancel === id) due = undefined;
        else if (said === undefined && new KafkaRecord(raw, 'durable', topic, name, 0).id === id)
          due = raw.timestamp;
      }
    }
    if (due === undefined) continue;
    if (Date.now() > due - TOO_LATE) return false;
    await note(hub, part, [[CANCEL, id]]);
    return true;
  }
  return false;
}
