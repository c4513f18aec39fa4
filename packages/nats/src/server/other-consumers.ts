import type { StartPosition } from '@ambus/core';
import { fewSubjectsOf, hash } from '../names.ts';
import { type ConsumerInfo, create, infoOf, startAt, startOf } from './consumers.ts';
import { missing, NANOSECONDS, type Space } from './space.ts';

/** Consumers that are no group's. */

/** Milliseconds after which the server forgets a probe whose process died. */
const PROBE_KEPT = 5_000;

/** No group's: those have a hash behind a dash. */
const DELAYS = 'delays';
/** Milliseconds after which another bus looks at a delayed record that one has died with. */
const DELAYS_WAIT = 5_000;

/** An own consumer without acks, gone when nobody has asked for `threshold` milliseconds. */
export async function createLive(
  space: Space,
  name: string,
  pattern: string,
  from: StartPosition | number,
  threshold: number,
): Promise<ConsumerInfo> {
  return create(space, name, {
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: threshold * NANOSECONDS,
    // Core takes what is beyond the pattern out; many alternatives cost a server more than a few records that match none.
    filter_subjects: fewSubjectsOf(pattern).map((subject) => space.names.data('*', subject)),
    ...(typeof from === 'number' ? startAt(from) : await startOf(space, from)),
  });
}

/** What there is of the one consumer of all delayed records. */
export const findDelays = (space: Space): Promise<ConsumerInfo | undefined> =>
  infoOf(space, DELAYS, space.own);

/** The one consumer of all delayed records, for streams that cannot schedule. */
export function createDelays(space: Space): Promise<ConsumerInfo> {
  const config = {
    durable_name: DELAYS,
    ack_policy: 'explicit',
    ack_wait: DELAYS_WAIT * NANOSECONDS,
    max_ack_pending: -1,
    max_deliver: -1,
    filter_subjects: [space.names.schedules('*', '>')],
    ...startAt(1),
  };
  return create(space, DELAYS, config, space.own);
}

/**
 * A consumer of a topic that nobody asks for anything: by its interest the server keeps what lies there.
 *
 * @throws {ConfigError} when it is missing and may not be made
 */
export async function ensureKeeper(space: Space, topic: string): Promise<void> {
  const name = `keep-${hash(topic)}`;
  if (!space.mayCreate) {
    if ((await infoOf(space, name)) === undefined)
      throw missing(`consumer "${name}", for "${topic}",`, topic);
    return;
  }
  await create(space, name, {
    durable_name: name,
    description: `keeps dead letters on ${topic}`,
    ack_policy: 'explicit',
    max_ack_pending: -1,
    deliver_policy: 'all',
    filter_subjects: [space.names.data('*', topic)],
  });
}

/** A consumer that only tells what lies before it; to be deleted. */
export async function probe(
  space: Space,
  name: string,
  subject: string,
  from: number,
): Promise<ConsumerInfo> {
  return create(space, name, {
    ack_policy: 'none',
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: PROBE_KEPT * NANOSECONDS,
    filter_subjects: [subject],
    ...startAt(from),
  });
}
