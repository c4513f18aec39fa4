import { offsetsAt, type Place } from '../group/positions.ts';
import type { Hub } from '../hub.ts';
import { DURABLE_KINDS, type Kind } from '../names.ts';
import type { KafkaTopic } from '../topics/catalog.ts';

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
