import type { Source } from '@ambus/core';
import type { Hub } from '../hub.ts';
import { DURABLE_KINDS, type Kind } from '../names.ts';
import { isLiteral } from '../topics/match.ts';
import { foreignTopic } from '../topics/shared.ts';

/** A Kafka topic that a subscription reads. */
export interface SourceTopic {
  readonly name: string;
  readonly kind: Kind;
  readonly partitions: number;
  /** The bus topic of records that do not say theirs. */
  readonly busTopic: string;
  /** Whether all of its records are of that topic, whatever they say. */
  readonly exact: boolean;
}

/** The kinds that a subscription reads. */
export function kindsOf(channel: Source['channel']): readonly Kind[] {
  if (channel === 'request') return ['r'];
  return channel === 'ephemeral' ? ['e'] : DURABLE_KINDS;
}

/** Makes the topic of a subscription, where it is one: then there is a place to start at, and nobody is told that it is missing. */
export async function ensureSource(hub: Hub, { pattern, channel }: Source): Promise<void> {
  if (!isLiteral(pattern)) return;
  if (hub.host.provision === 'none' && channel !== 'durable') return;
  await hub.topic(pattern, kindsOf(channel)[0]!);
}

/** As `ensureSource`, where the server has lost it: not what was deleted on purpose. */
export async function restoreSource(hub: Hub, source: Source): Promise<void> {
  const { pattern, channel } = source;
  if (!isLiteral(pattern) || !hub.catalog.seen(hub.place(pattern, kindsOf(channel)[0]!))) return;
  await ensureSource(hub, source);
}

/** What there is on the server for a subscription, now. */
export async function sourceTopics(hub: Hub, source: Source, fresh: boolean): Promise<SourceTopic[]> {
  const { pattern, channel, group } = source;
  const kinds = kindsOf(channel);
  const retries =
    group === undefined || channel !== 'durable'
      ? undefined
      : hub.names.retries(hub.names.group(group, pattern, channel));
  if (isLiteral(pattern)) {
    const names = new Map<string, Kind>(kinds.map((kind) => [hub.place(pattern, kind), kind]));
    if (retries !== undefined) names.set(retries, 'q');
    const main = hub.place(pattern, 'main');
    const exact = !hub.shared.has(main);
    const topics = await hub.catalog.find([...names.keys()]);
    return topics.map(({ name, leaders }) => ({
      name,
      kind: names.get(name)!,
      partitions: leaders.length,
      busTopic: exact ? pattern : foreignTopic(main, pattern),
      exact: exact && names.get(name) !== 'q',
    }));
  }
  // Asked once at the start; later the hub does it for all subscriptions.
  const topics = fresh ? await hub.catalog.refreshAll() : hub.catalog.all();
  const [own] = retries === undefined ? [] : await hub.catalog.find([retries]);
  const queue: SourceTopic[] =
    own === undefined
      ? []
      : [{ name: own.name, kind: 'q', partitions: own.leaders.length, busTopic: pattern, exact: false }];
  return queue.concat(
    topics.flatMap(({ name, leaders }) => {
      const place = hub.parse(name);
      if (place === undefined || !kinds.includes(place.kind) || !hub.names.matches(pattern, place)) return [];
      const exact = place.topic !== undefined;
      return [
        {
          name,
          kind: place.kind,
          partitions: leaders.length,
          busTopic: place.topic ?? foreignTopic(place.base, pattern),
          exact,
        },
      ];
    }),
  );
}
