import { Ranges } from '../feed/ranges.ts';
import type { Hub } from '../hub.ts';
import { KafkaRecord } from '../wire/record.ts';
import type { Extent } from './extents.ts';
import { noteOf, scan } from './scan.ts';

/** What is known of one partition: offsets only, no bodies. */
interface Known {
  readonly dead: Ranges;
  /** Delayed records that can still be taken back, by id. */
  readonly delayed: Map<string, { readonly offset: number; readonly due: number }>;
  /** Up to where it was read. */
  to: number;
  reading: Promise<void>;
}

/** Partitions of which this is remembered, for each connection. */
const MOST = 1_000;
const remembered = new WeakMap<Hub, Map<string, Known>>();

/**
 * The offsets between a partition's start and end that hold no message: what was removed or cancelled, the notes that say
 * so, and what is no record at all. A partition is read once for it, and later on only what came since.
 *
 * @param most - offsets that are read at most; where more are left, what is known already has to do
 */
export async function deadIn(
  hub: Hub,
  part: Extent,
  most: number = Number.POSITIVE_INFINITY,
): Promise<Ranges> {
  const known = knownOf(hub, part);
  if (part.start > known.to) known.to = part.start;
  known.dead.dropBelow(part.start);
  if (part.end - known.to > most) return known.dead;
  // One after the other: two that ask at the same time read it once.
  known.reading = known.reading.catch(() => {}).then(() => read(hub, part, known));
  await known.reading;
  return known.dead;
}

function knownOf(hub: Hub, { topic, partition }: Extent): Known {
  const all = remembered.get(hub) ?? new Map<string, Known>();
  remembered.set(hub, all);
  // Of this topic, and not of a later one of its name.
  const key = `${topic}/${partition}/${hub.catalog.known(topic)?.id}`;
  let known = all.get(key);
  if (known === undefined) {
    if (all.size >= MOST) all.clear();
    known = { dead: new Ranges(), delayed: new Map(), to: 0, reading: Promise.resolve() };
    all.set(key, known);
  }
  return known;
}

async function read(hub: Hub, part: Extent, known: Known): Promise<void> {
  const { dead, delayed } = known;
  for await (const { records, next } of scan(hub, part, known.to, part.end)) {
    for (const raw of records) {
      dead.add(known.to, raw.offset);
      known.to = raw.offset + 1;
      const said = raw.value === null ? noteOf(raw) : undefined;
      if (said === undefined) {
        if (part.kind !== 'd') continue;
        const { id } = new KafkaRecord(raw, 'durable', '', '', 0);
        delayed.set(id, { offset: raw.offset, due: raw.timestamp });
        continue;
      }
      dead.add(raw.offset);
      if (said.remove !== undefined && said.remove >= part.start) dead.add(said.remove);
      const cancelled = said.cancel === undefined ? undefined : delayed.get(said.cancel);
      // One that was due when it was cancelled was on its way.
      if (cancelled !== undefined && cancelled.due > raw.timestamp) dead.add(cancelled.offset);
    }
    dead.add(known.to, next);
    known.to = Math.max(known.to, next);
  }
  const now = Date.now();
  for (const [id, { due }] of delayed) if (due < now - PAST) delayed.delete(id);
}

/** Milliseconds by which clocks may differ: no note that comes later takes back what was due before that. */
const PAST = 60_000;
