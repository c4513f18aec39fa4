import { Ledger } from '../feed/ledger.ts';
import type { Hub } from '../hub.ts';
import type { Kind } from '../names.ts';
import { committed, offsetsAt, type Place } from './positions.ts';

/** Where a group goes on in a partition. */
export interface Opening extends Place {
  readonly ledger: Ledger;
  /** Where to read from: before the ledger's floor where what was said earlier matters. */
  readonly start: number;
  /** Where a log of retries ends now. */
  readonly until: number;
}

/** Where a group goes on in each of these partitions. */
export async function openings(
  hub: Hub,
  group: string,
  places: readonly (Place & { readonly kind: Kind })[],
): Promise<Opening[]> {
  const { cluster, catalog } = hub;
  const window = Date.now() - hub.host.deduplicationWindow;
  const known = byPlace(await committed(cluster, group, places, true));
  // What a record repeats came within the window. Its note of being taken back comes behind it.
  const scanned = places.filter(({ kind }) => kind === 'x' || kind === 'd');
  const scans = byPlace(
    scanned.length === 0 ? [] : await offsetsAt(cluster, catalog, scanned, new Date(window)),
  );
  const queues = places.filter(({ kind }) => kind === 'q');
  const ends = byPlace(queues.length === 0 ? [] : await offsetsAt(cluster, catalog, queues, 'end'));
  return places.map((place) => {
    const name = nameOf(place);
    const { topic, partition } = place;
    const one = known.get(name);
    const ledger = one === undefined ? new Ledger(0) : Ledger.decode(one.offset, one.metadata);
    const start = Math.min(ledger.floor, scans.get(name)?.offset ?? ledger.floor);
    return { topic, partition, ledger, start, until: ends.get(name)?.offset ?? 0 };
  });
}

function nameOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}

function byPlace<T extends Place>(list: readonly T[]): Map<string, T> {
  return new Map(list.map((one) => [nameOf(one), one]));
}
