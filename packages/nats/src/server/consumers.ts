import { ConfigError, type StartPosition, UnsupportedError } from '@ambus/core';
import {
  consumerName,
  fewSubjectsOf,
  isLane,
  matchMore,
  RARE_CLASSES,
  type RecordClass,
  subjectsOf,
} from '../names.ts';
import { apiError, CODES } from './api.ts';
import { missing, NANOSECONDS, type Space } from './space.ts';
import { knowsManyFilters } from './version.ts';

/** What JetStream says of a consumer. */
export interface ConsumerInfo {
  readonly name: string;
  readonly created: string;
  readonly config: ConsumerConfig;
  readonly delivered: { readonly consumer_seq: number; readonly stream_seq: number };
  readonly ack_floor: { readonly stream_seq: number };
  readonly num_ack_pending: number;
  readonly num_pending: number;
  /** Requests for records that wait. */
  readonly num_waiting: number;
  readonly cluster?: { readonly leader?: string };
}

export interface ConsumerConfig {
  readonly ack_wait?: number;
  readonly deliver_policy: string;
  readonly opt_start_seq?: number;
  readonly opt_start_time?: string;
  readonly filter_subject?: string;
  readonly filter_subjects?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Keys of a consumer's metadata: by them a group is found again by its own name. */
const GROUP = 'ambus-group';
const PATTERN = 'ambus-pattern';

/** Milliseconds that an election may take, and between two looks. */
const ELECTION = 5_000;
const LOOK_AGAIN = 50;

/** How the server says that of a stream's messages each is for one consumer only. */
const NOT_UNIQUE = '/10100)';

/** A group, as its plain consumer tells. */
export interface FoundGroup {
  readonly group: string;
  readonly pattern: string;
  readonly info: ConsumerInfo;
}

/** Share of the lease that the server waits for an ack; the rest is for whoever takes over a lane. */
export const ackWaitOf = (lease: number): number => Math.round(lease / 2);

/** Where a consumer starts, as JetStream wants it. */
export async function startOf(space: Space, from: StartPosition): Promise<Partial<ConsumerConfig>> {
  // By the server's rules: what nobody has worked on yet is everybody's.
  if (space.streams.retention === 'workqueue') return { deliver_policy: 'all' };
  if (from instanceof Date) return startAt(await firstSince(space, from.getTime()));
  // Always a number, so that the consumers of rare classes, made later, start at the same place.
  const { state } = await space.info();
  return startAt(from === 'earliest' ? 1 : state.last_seq + 1);
}

/**
 * The number of the first record that was stored from then on. Looked for here: 2.11 finds a wrong one by time where records
 * in between were removed.
 *
 * @param time - milliseconds since the epoch
 */
export async function firstSince(space: Space, time: number): Promise<number> {
  const { state } = await space.info();
  let [low, high] = [Math.max(state.first_seq, 1), state.last_seq + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const found = await space.api.next(space.stream, middle, '>');
    if (found === undefined || found.time >= time) high = middle;
    else low = found.seq + 1;
  }
  return low;
}

export const startAt = (seq: number): Partial<ConsumerConfig> => ({
  deliver_policy: 'by_start_sequence',
  opt_start_seq: seq,
});

/** What a group's consumer asks for; core takes what the pattern does not match out of it. */
const wanted = ({ link }: Space, pattern: string): string[] =>
  knowsManyFilters(link) ? subjectsOf(pattern) : fewSubjectsOf(pattern);

/** In a cluster a consumer is there, and its counts are right, once it has a leader. */
export async function infoOf(
  space: Space,
  name: string,
  stream: string = space.stream,
): Promise<ConsumerInfo | undefined> {
  const end = Date.now() + ELECTION;
  const ask = () => space.api.ask<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`);
  let { value, failure } = await ask();
  while (value?.cluster !== undefined && value.cluster.leader === undefined && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN).unref());
    ({ value, failure } = await ask());
  }
  if (failure === undefined) return value;
  if (failure.err_code === CODES.consumerNotFound || failure.err_code === CODES.streamNotFound)
    return undefined;
  throw apiError(`consumer ${name}`, failure);
}

export async function create(
  space: Space,
  name: string,
  config: object,
  stream: string = space.stream,
): Promise<ConsumerInfo> {
  const { value, failure } = await space.api.ask<ConsumerInfo>(`CONSUMER.CREATE.${stream}.${name}`, {
    stream_name: stream,
    config: { name, ...config },
    action: 'create',
  });
  if (value !== undefined) return value;
  if (failure.err_code === CODES.consumerExists || failure.err_code === CODES.consumerNameInUse) {
    const found = await infoOf(space, name, stream);
    if (found !== undefined) return found;
  }
  throw apiError(`consumer ${name}`, failure);
}

function groupConfig(
  space: Space,
  recordClass: RecordClass,
  pattern: string,
  group: string,
  ackWait: number,
): object {
  return {
    durable_name: classConsumer(consumerName(pattern, group), recordClass),
    ack_policy: 'explicit',
    ack_wait: ackWait,
    // What waits for a retry is pending as well, and must not stall the rest.
    max_ack_pending: -1,
    max_deliver: -1,
    filter_subjects: wanted(space, pattern).map((subject) => space.names.data(recordClass, subject)),
    metadata: recordClass === 'n' ? { [GROUP]: group, [PATTERN]: pattern } : { [PATTERN]: pattern },
  };
}

export function classConsumer(base: string, recordClass: RecordClass): string {
  return recordClass === 'n' ? base : `${base}-${recordClass}`;
}

/**
 * The group's plain consumer, made if it is missing and may be.
 *
 * @throws {ConfigError} naming the group that is missing
 * @throws {UnsupportedError} when the stream allows a message only one group, and there is another, or this one would take
 *   what is not meant for it
 */
export async function ensureGroup(
  space: Space,
  pattern: string,
  group: string,
  from: StartPosition,
  mayCreate: boolean,
): Promise<ConsumerInfo> {
  const name = consumerName(pattern, group);
  const wait = ackWaitOf(space.link.settings.lease) * NANOSECONDS;
  // Asked for together: somebody waits for the subscription.
  const [found, start] = await Promise.all([infoOf(space, name), mayCreate ? startOf(space, from) : {}]);
  if (found !== undefined) return space.mayCreate ? shorten(space, found, wait) : found;
  if (!mayCreate) throw missing(`group "${group}" on "${pattern}"`, pattern);
  checkQueue(space, pattern, group);
  try {
    return await create(space, name, {
      ...groupConfig(space, 'n', pattern, group, wait),
      ...start,
    });
  } catch (error) {
    if (!ConfigError.is(error)) throw error;
    if (error.message.includes(NOT_UNIQUE)) {
      throw new UnsupportedError(
        `group "${group}" on "${pattern}": with the retention "workqueue" of stream "${space.stream}" each message has one group, and another group's pattern overlaps`,
        { topic: pattern, broker: 'nats', cause: error },
      );
    }
    throw new ConfigError(`group "${group}" on "${pattern}" cannot be made: ${error.message}`, {
      topic: pattern,
      broker: 'nats',
      cause: error,
    });
  }
}

/** @throws {UnsupportedError} when a work queue's group would take, and so remove, what is not meant for it */
function checkQueue(space: Space, pattern: string, group: string): void {
  if (space.streams.retention !== 'workqueue' || !matchMore(wanted(space, pattern), pattern)) return;
  const { version } = space.link.driver;
  const advice = matchMore(subjectsOf(pattern), pattern)
    ? 'use a pattern with one "#"'
    : `put "#" at the end, or use NATS 2.11.12, 2.12.4 or later (this is ${version})`;
  throw new UnsupportedError(
    `group "${group}" on "${pattern}": NATS cannot tell its messages from those of other topics, which the retention "workqueue" of stream "${space.stream}" would lose: ${advice}`,
    { topic: pattern, broker: 'nats' },
  );
}

/** All of the group's consumers of rare classes, so that nothing has to be made for the first message of one. */
export async function ensureClasses(
  space: Space,
  info: ConsumerInfo,
  pattern: string,
  group: string,
): Promise<void> {
  await Promise.all(RARE_CLASSES.map((one) => ensureClass(space, info, pattern, group, one, true)));
}

/** The group's consumer of a rare class, which starts where the group did. */
export async function ensureClass(
  space: Space,
  { config }: ConsumerInfo,
  pattern: string,
  group: string,
  recordClass: RecordClass,
  mayCreate: boolean = space.mayCreate,
): Promise<ConsumerInfo | undefined> {
  const name = classConsumer(consumerName(pattern, group), recordClass);
  if (!mayCreate) return infoOf(space, name);
  const { deliver_policy, opt_start_seq, opt_start_time } = config;
  const wait = config.ack_wait ?? 0;
  const made = await create(space, name, {
    ...groupConfig(space, recordClass, pattern, group, wait),
    deliver_policy,
    ...(opt_start_seq === undefined ? {} : { opt_start_seq }),
    ...(opt_start_time === undefined ? {} : { opt_start_time }),
    ...(isLane(recordClass) ? { description: `lane of ${group}, owned by one member at a time` } : {}),
  });
  return shorten(space, made, wait);
}

/** The shortest lease of its members counts for a group. */
async function shorten(space: Space, info: ConsumerInfo, wait: number): Promise<ConsumerInfo> {
  if (wait >= (info.config.ack_wait ?? 0)) return info;
  const { value } = await space.api.ask<ConsumerInfo>(`CONSUMER.CREATE.${space.stream}.${info.name}`, {
    stream_name: space.stream,
    config: { ...info.config, ack_wait: wait },
    action: 'update',
  });
  return value ?? info;
}

/** The rare classes of which records lie, or are scheduled, on the pattern's topics from the group's start on. */
export async function usedClasses(
  space: Space,
  { config }: Pick<ConsumerInfo, 'config'>,
  pattern: string,
): Promise<RecordClass[]> {
  const { names, api, stream, own } = space;
  const seq = config.opt_start_seq ?? 1;
  const asked = fewSubjectsOf(pattern);
  const has = async (
    subjectOf: (topic: string) => string,
    from: number,
    where: string = stream,
  ): Promise<boolean> => {
    const found = await Promise.all(asked.map((topic) => api.next(where, from, subjectOf(topic))));
    return found.some((one) => one !== undefined);
  };
  const [anyScheduled, ...stored] = await Promise.all([
    has((topic) => names.schedules('*', topic), 1, own),
    ...RARE_CLASSES.map((one) => has((topic) => names.data(one, topic), seq)),
  ]);
  const used = anyScheduled
    ? await Promise.all(
        RARE_CLASSES.map(
          async (one, at) =>
            stored[at] ||
            (await has((topic) => names.schedules(one, topic), 1, own)) ||
            // It may have become due in between.
            (await has((topic) => names.data(one, topic), seq)),
        ),
      )
    : stored;
  return RARE_CLASSES.filter((_, at) => used[at]);
}

/** The group whose plain consumer this is, if it is one. */
export function groupOf(info: ConsumerInfo): FoundGroup | undefined {
  const group = info.config.metadata?.[GROUP];
  const pattern = info.config.metadata?.[PATTERN];
  return group === undefined || pattern === undefined ? undefined : { group, pattern, info };
}

/** The subjects that a consumer reads. */
export function filtersOf({ filter_subject, filter_subjects }: ConsumerConfig): readonly string[] {
  return filter_subjects ?? (filter_subject === undefined ? [] : [filter_subject]);
}

/** The pattern that a group's consumer, plain or of a rare class, covers. */
export function coverageOf({ config }: ConsumerInfo): string | undefined {
  return config.metadata?.[PATTERN];
}
