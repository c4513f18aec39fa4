import { compilePattern } from '@ambus/core';
import { type ConsumerInfo, classConsumer, coverageOf, filtersOf, groupOf } from './consumers.ts';
import { deleteConsumer } from './delete-consumer.ts';
import { listConsumers } from './list-consumers.ts';
import type { Space } from './space.ts';

/**
 * Up to which number a consumer has settled what its filters match, when the stream ended at `last` before it was asked. The
 * server that leads it may not have heard of the latest records yet: what it counts is not all that lies there.
 */
export async function settledBy(
  space: Space,
  info: ConsumerInfo,
  last: number,
  filters: readonly string[] = filtersOf(info.config),
): Promise<number> {
  if (info.num_pending + info.num_ack_pending > 0) return info.ack_floor.stream_seq;
  const behind = info.delivered.stream_seq + 1;
  const unseen = await Promise.all(filters.map((filter) => space.api.next(space.stream, behind, filter)));
  return Math.min(last, ...unseen.map((record) => (record === undefined ? last : record.seq - 1)));
}

/**
 * Up to which number every group whose pattern matches has settled the topic; 0 where that is not known for certain now.
 *
 * @param last - where the stream ended before
 */
export async function settledOf(space: Space, topic: string, last: number): Promise<number> {
  const { names } = space;
  const { consumers, isWhole } = await listConsumers(space);
  if (!isWhole) return 0;
  const covering = consumers.filter((info) => {
    const pattern = coverageOf(info);
    return pattern !== undefined && compilePattern(pattern)(topic);
  });
  const groups = covering.filter((info) => groupOf(info) !== undefined);
  const used = [...(await space.subjects(names.data('*', topic))).keys()].map((one) => names.classOf(one));
  const byName = new Map(covering.map((info) => [info.name, info]));
  const settled = groups.flatMap((group) =>
    used.map((recordClass) => {
      const info = byName.get(classConsumer(group.name, recordClass));
      // A class that a group has no consumer for yet holds what nobody has settled.
      if (info === undefined) return (group.config.opt_start_seq ?? 1) - 1;
      return settledBy(space, info, last, [names.data(recordClass, topic)]);
    }),
  );
  await removeOrphans(space, covering, groups);
  return Math.min(last, ...(await Promise.all(settled)));
}

/** Consumers of a rare class whose group was deleted while they were made: nobody would ever settle for them. */
async function removeOrphans(
  space: Space,
  covering: readonly ConsumerInfo[],
  groups: readonly ConsumerInfo[],
): Promise<void> {
  const bases = new Set(groups.map(({ name }) => name));
  const orphans = covering.filter(
    ({ name }) => !bases.has(name) && !bases.has(name.slice(0, name.lastIndexOf('-'))),
  );
  await Promise.all(orphans.map(({ name }) => deleteConsumer(space, name).catch(() => {})));
}
