import type { StartPosition } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { Code, serverError } from '../driver/errors.ts';
import { type Committed, type Membership, offsetCommit, offsetFetch } from '../driver/group-requests.ts';
import { EARLIEST, LATEST, listOffsets } from '../driver/log-requests.ts';
import { byTopic } from '../driver/request.ts';
import type { Catalog } from '../topics/catalog.ts';

/** What a group notes beside its positions: that it exists, and how it was made. */
export interface Marker {
  /** Slots: partition `p` of any topic belongs to slot `p % slots`. */
  readonly slots: number;
  /** Delayed records due by then were never for it. Milliseconds since the epoch. */
  readonly since: number;
  /** The generation in which it was made. */
  readonly generation: number;
}

export interface Place {
  readonly topic: string;
  readonly partition: number;
}

const AGAIN = 40;
const PATIENCE = 5_000;

/** The note of a group; undefined when there is no such group. */
export async function readMarker(
  cluster: Cluster,
  group: string,
  control: string,
): Promise<Marker | undefined> {
  const [found] = await committed(cluster, group, [{ topic: control, partition: 0 }]);
  return found === undefined || found.metadata === '' ? undefined : (JSON.parse(found.metadata) as Marker);
}

function markerCommit(control: string, marker: Marker): Committed {
  return { topic: control, partition: 0, offset: 0, metadata: JSON.stringify(marker) };
}

/**
 * What a group has committed.
 *
 * @param stable - waits for the end of a transaction that is about to commit something else
 */
export async function committed(
  cluster: Cluster,
  group: string,
  places?: readonly Place[],
  stable = false,
): Promise<readonly Committed[]> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const request = offsetFetch(group, places, stable);
    const answer = await cluster.sendToCoordinator(group, request, ({ error }) => error);
    if (answer.error === 0) return answer.committed;
    if (answer.error !== Code.unstableOffsetCommit || Date.now() > deadline)
      throw serverError(answer.error, `reading the positions of group "${group}"`);
    await wait(AGAIN);
  }
}

/** Commits as the member says, or as nobody where the group has no members. Returns the first error code. */
async function commit(
  cluster: Cluster,
  membership: Membership,
  entries: readonly Committed[],
): Promise<number> {
  const answers = await cluster.sendToCoordinator(
    membership.group,
    offsetCommit(membership, entries),
    (all) => all.find(({ error }) => error !== 0)?.error ?? 0,
  );
  return answers.find(({ error }) => error !== 0 && error !== Code.unknownTopic)?.error ?? 0;
}

/** Where each partition is at that time; those of topics that are gone are left out. */
export async function offsetsAt(
  cluster: Cluster,
  catalog: Catalog,
  places: readonly Place[],
  at: StartPosition | 'end',
): Promise<(Place & { readonly offset: number })[]> {
  const time = at === 'earliest' ? EARLIEST : at === 'new' || at === 'end' ? LATEST : at.getTime();
  const found: (Place & { offset: number })[] = [];
  const deadline = Date.now() + PATIENCE;
  let left: readonly Place[] = places;
  for (;;) {
    const byLeader = new Map<number, Place[]>();
    for (const place of left) {
      const leader = catalog.known(place.topic)?.leaders[place.partition] ?? -1;
      const known = byLeader.get(leader);
      if (known === undefined) byLeader.set(leader, [place]);
      else known.push(place);
    }
    const again: Place[] = [...(byLeader.get(-1) ?? [])];
    byLeader.delete(-1);
    const none: Place[] = [];
    await Promise.all(
      Array.from(byLeader, async ([leader, list]) => {
        const answers = await cluster.send(leader, listOffsets(list.map((place) => ({ ...place, time }))));
        for (const { topic, partition, error, offset } of answers) {
          if (error !== 0) again.push({ topic, partition });
          else if (offset < 0) none.push({ topic, partition });
          else found.push({ topic, partition, offset });
        }
      }),
    );
    // No record is that young: the end it is.
    if (none.length > 0) found.push(...(await offsetsAt(cluster, catalog, none, 'end')));
    if (again.length === 0) return found;
    await wait(AGAIN);
    await catalog.refresh(byTopic(again).map(({ topic }) => topic));
    left = again.filter(({ topic }) => catalog.known(topic) !== undefined);
    if (left.length === 0) return found;
    if (Date.now() > deadline) throw serverError(Code.leaderNotAvailable, 'asking where topics end');
  }
}

/** How a group is to begin. */
export interface Beginning {
  /** Partitions that are there already. */
  readonly places: readonly Place[];
  readonly from: StartPosition;
  readonly slots: number;
  /** As `Marker.since`. */
  readonly since: number;
  /** Whether it begins anew even where it has positions: what was sent while nobody was there is for nobody. */
  readonly anew: boolean;
}

/**
 * Makes a group, as its leader: where it starts on each topic first, and that it exists last. One that has positions was
 * there and has only lost its note: no position moves, and what has none appeared since, so that it is read from its start.
 */
export async function makeGroup(
  cluster: Cluster,
  catalog: Catalog,
  membership: Membership,
  control: string,
  { places, from, slots, since, anew }: Beginning,
): Promise<void> {
  const [known, ends] = await Promise.all([
    anew ? [] : committed(cluster, membership.group),
    from === 'earliest' ? [] : offsetsAt(cluster, catalog, places, from),
  ]);
  const lost = known.some(({ topic }) => topic !== control);
  const starts = lost ? [] : ends;
  const entries = starts.map((place) => ({ ...place, metadata: '' }));
  const marker = markerCommit(control, { slots, since: lost ? 0 : since, generation: membership.generation });
  let error = entries.length === 0 ? 0 : await commit(cluster, membership, entries);
  if (error === 0) error = await commit(cluster, membership, [marker]);
  // The group changed meanwhile: its next leader makes it.
  if (error !== 0 && error !== Code.rebalanceInProgress && error !== Code.illegalGeneration) {
    throw serverError(error, `making the group "${membership.group}"`);
  }
}
