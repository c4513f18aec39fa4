import type { BusRecord } from '@ambus/core';
import { Code, isPassing } from '../driver/errors.ts';
import { produce } from '../driver/log-requests.ts';
import { encodeBatch, type OutRecord, RECORD_OVERHEAD } from '../driver/records.ts';
import type { Transactor } from '../driver/transaction-requests.ts';
import type { Hub } from '../hub.ts';
import { kindOf, partitionFor, toOut } from '../publish/publish.ts';

/** A step of a transaction that the server has refused. */
export class Refusal extends Error {
  readonly code: number;
  /** What it is about. `record`: a record that it will never take. */
  readonly of: 'transaction' | 'group' | 'record';

  constructor(code: number, of: Refusal['of'], doing: string) {
    super(doing);
    this.code = code;
    this.of = of;
  }
}

/** What one partition gets, a batch after the other. */
export type Batches = readonly {
  readonly topic: string;
  readonly partition: number;
  readonly batches: readonly (readonly OutRecord[])[];
}[];

/** After these another transaction may do what this one could not. */
const PASSING: ReadonlySet<number> = new Set([
  Code.outOfOrderSequence,
  Code.invalidProducerEpoch,
  Code.unknownProducer,
  Code.concurrentTransactions,
  48, // invalid state of the transaction
  49, // the id belongs to another producer
  90, // another producer has come under the same id
]);

/**
 * Finds the partition of each record.
 *
 * @param single - whether each record is to be a batch of its own
 */
export async function arrange(hub: Hub, records: readonly BusRecord[], single: boolean): Promise<Batches> {
  const limit = single ? 0 : hub.settings.batchBytes;
  const places = new Map<
    string,
    { topic: string; partition: number; batches: OutRecord[][]; room: number }
  >();
  for (const record of records) {
    const kind = kindOf(record, Date.now());
    const topic = hub.catalog.known(hub.place(record.topic, kind)) ?? (await hub.topic(record.topic, kind));
    const out = toOut(record, kind);
    const partition = partitionFor(record, kind, out, topic);
    const key = `${topic.name}/${partition}`;
    let place = places.get(key);
    if (place === undefined) {
      place = { topic: topic.name, partition, batches: [], room: 0 };
      places.set(key, place);
    }
    const size = RECORD_OVERHEAD + out.headers.length + (out.key?.length ?? 0) + (out.value?.length ?? 0);
    if (place.batches.length === 0 || size > place.room) {
      place.batches.push([out]);
      place.room = limit - size;
    } else {
      place.batches.at(-1)!.push(out);
      place.room -= size;
    }
  }
  return [...places.values()];
}

/** Stores them, invisible until the transaction is committed. */
export async function store(
  hub: Hub,
  { transactionalId, producer }: Transactor,
  all: Batches,
  sequences: Map<string, number>,
): Promise<void> {
  const { cluster, catalog, settings } = hub;
  for (let round = 0; ; round++) {
    const byNode = new Map<number, Batches[number][]>();
    for (const place of all) {
      if (place.batches.length <= round) continue;
      const leader = catalog.known(place.topic)?.leaders[place.partition] ?? -1;
      if (leader < 0) throw new Refusal(Code.leaderNotAvailable, 'transaction', doing(place.topic));
      const known = byNode.get(leader);
      if (known === undefined) byNode.set(leader, [place]);
      else known.push(place);
    }
    if (byNode.size === 0) return;
    await Promise.all(
      Array.from(byNode, async ([node, places]) => {
        const entries = await Promise.all(
          places.map(async ({ topic, partition, batches }) => {
            const key = `${topic}/${partition}`;
            const records = batches[round]!;
            const sequence = sequences.get(key) ?? 0;
            sequences.set(key, (sequence + records.length) % 2 ** 31);
            const batch = await encodeBatch(records, producer, sequence, settings.compression, true);
            return { topic, partition, batch };
          }),
        );
        const request = produce(entries, ALL_REPLICAS, settings.requestTimeout, transactionalId);
        for (const { topic, error } of await cluster.send(node, request)) {
          if (error === 0 || error === Code.duplicateSequence) continue;
          const passing = isPassing(error) || PASSING.has(error);
          throw new Refusal(error, passing ? 'transaction' : 'record', doing(topic));
        }
      }),
    );
  }
}

/** A transaction takes nothing less. */
const ALL_REPLICAS = -1;

function doing(topic: string): string {
  return `publishing to "${topic}" in a transaction`;
}
