import { apiError, CODES } from './api.ts';
import { type ConsumerInfo, infoOf } from './consumers.ts';
import type { Space } from './space.ts';

/** Consumers that are asked about at a time. */
const ASKED_AT_ONCE = 50;
/** Tries to read a list of several pages in which nothing changes. */
const PAGED = 3;

/** All consumers of the stream. */
export const allConsumers = async (space: Space): Promise<ConsumerInfo[]> =>
  (await listConsumers(space)).consumers;

/** All consumers of the stream, and whether it is certain that none is missing and that what they count is so. */
export async function listConsumers(
  space: Space,
): Promise<{ readonly consumers: ConsumerInfo[]; readonly isWhole: boolean }> {
  if (!space.link.driver.isClustered) {
    const { all: consumers, isWhole } = await pages<ConsumerInfo>(space, 'LIST');
    return { consumers, isWhole };
  }
  // For a list the servers of a cluster ask each other, for four seconds while a single consumer has no leader.
  const { all: names, isWhole } = await pages<string>(space, 'NAMES');
  const found: (ConsumerInfo | undefined)[] = [];
  for (let at = 0; at < names.length; at += ASKED_AT_ONCE) {
    const some = names.slice(at, at + ASKED_AT_ONCE);
    found.push(...(await Promise.all(some.map((name) => infoOf(space, name)))));
  }
  const consumers = found.filter((info) => info !== undefined);
  // A server that starts answers for what it does not lead, without any count.
  const { cluster } = await space.info();
  const areLed = cluster === undefined || consumers.every((info) => info.cluster?.leader !== undefined);
  const missing = names.filter((_, at) => found[at] === undefined);
  // Those that come and go, as the ones by which a trim counts, are not on the list any more.
  const listed = missing.length === 0 ? [] : (await pages<string>(space, 'NAMES')).all;
  const areGone = !missing.some((name) => listed.includes(name));
  return { consumers, isWhole: isWhole && areLed && areGone };
}

/** Pages are counted off, so that one is skipped where another is deleted meanwhile: then it begins again. */
async function pages<T>(
  space: Space,
  what: 'LIST' | 'NAMES',
  tries: number = PAGED,
): Promise<{ readonly all: T[]; readonly isWhole: boolean }> {
  const all: T[] = [];
  let isWhole = true;
  let before: number | undefined;
  for (;;) {
    const { value, failure } = await space.api.ask<{ total: number; consumers?: T[] | null }>(
      `CONSUMER.${what}.${space.stream}`,
      { offset: all.length },
    );
    if (failure?.err_code === CODES.streamNotFound) return { all, isWhole };
    if (failure !== undefined) throw apiError('the list of consumers', failure);
    const { total } = value;
    const page = value.consumers ?? [];
    if (total !== (before ?? total)) {
      if (tries > 1) return pages(space, what, tries - 1);
      isWhole = false;
    }
    before = total;
    all.push(...page);
    if (page.length === 0 || all.length >= total) return { all, isWhole: isWhole && all.length >= total };
  }
}
