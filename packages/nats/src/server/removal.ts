import { type ConsumerInfo, filtersOf } from './consumers.ts';
import { listConsumers } from './list-consumers.ts';
import { settledBy } from './settled.ts';
import type { Space } from './space.ts';
import { covers } from './stream-config.ts';

/** Records that are removed one by one to spare consumers a purge: behind more than that a topic would outgrow its retention. */
const SPARED = 5_000;

/**
 * Removes a topic's records below `end`, or all that are there.
 *
 * A purge takes a consumer with several filters, such as a group's on `a.#`, for done with everything before the topic's
 * first record that is left, on its other topics too (seen on 2.11). So no more is purged than leaves the topic a record
 * that such a consumer is through with, and the rest is removed one by one.
 *
 * It also makes a consumer forget which records were given back and are to be delivered again: they wait until their lease
 * runs out, and what is behind them passes (seen on 2.15). So where something may wait so, records are removed one by one.
 */
export async function removeRecords(
  space: Space,
  topic: string,
  end: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  const { stream } = space;
  const subject = space.names.data('*', topic);
  const last = (await space.info()).state.last_seq;
  const { consumers, isWhole } = await listConsumers(space);
  const most = Math.min(end, last + 1);
  // Who is not seen now might be one of those.
  if (!isWhole) return space.removeEach(stream, subject, 1, most);
  let spared = 0;
  if (consumers.some((info) => mayForget(info, subject, end))) {
    spared = await space.removeEach(stream, subject, 1, most, SPARED);
    if (spared < SPARED) return spared;
  }
  return spared + (await removeAtOnce(space, subject, end, most, consumers));
}

async function removeAtOnce(
  space: Space,
  subject: string,
  end: number,
  most: number,
  consumers: readonly ConsumerInfo[],
): Promise<number> {
  const { stream } = space;
  const mistaken = consumers.filter((info) => isMistaken(info, subject));
  if (mistaken.length === 0) return space.purge(stream, subject, end);
  const settled = Math.min(...(await Promise.all(mistaken.map((info) => settledBy(space, info, most - 1)))));
  const left = await lastBelow(space, subject, Math.min(settled + 2, most));
  const purged = left === 0 ? 0 : await space.purge(stream, subject, left);
  return purged + (await space.removeEach(stream, subject, Math.max(left, 1), most));
}

/** Whether a purge of the subject moves it on over what lies on others. */
function isMistaken({ config }: ConsumerInfo, subject: string): boolean {
  const filters = filtersOf(config);
  const covered = filters.filter((filter) => covers(subject, filter)).length;
  return covered > 0 && covered < filters.length;
}

/** Whether a purge of the subject reaches it while something that it does not remove may wait to be delivered again. */
function mayForget(
  { config, num_ack_pending, num_waiting }: ConsumerInfo,
  subject: string,
  end: number,
): boolean {
  // Where somebody asks, what is given back goes out at once.
  if (num_ack_pending === 0 || num_waiting > 0) return false;
  const filters = filtersOf(config);
  const isReached = filters.some((filter) => covers(subject, filter) || covers(filter, subject));
  const goesAlong = end === Number.POSITIVE_INFINITY && filters.every((filter) => covers(subject, filter));
  return isReached && !goesAlong;
}

/** The last record of the subject below a number; 0 when there is none. */
async function lastBelow({ api, stream }: Space, subject: string, end: number): Promise<number> {
  let [found, low, high] = [0, 1, end];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const seq = (await api.next(stream, middle, subject))?.seq ?? end;
    if (seq < end) [found, low] = [seq, seq + 1];
    else high = middle;
  }
  return found;
}
