import {
  type Admin,
  type GroupInfo,
  isLiteral,
  type Page,
  type StartPosition,
  type StoredRecord,
  type TopicInfo,
  ValidationError,
} from '@ambus/core';
import { lentOf, tellDeleted } from './consume/company.ts';
import { consumerName, RARE_CLASSES, type RecordClass } from './names.ts';
import type { Stored } from './server/api.ts';
import {
  type ConsumerInfo,
  classConsumer,
  ensureClass,
  ensureClasses,
  ensureGroup,
  filtersOf,
  groupOf,
  infoOf,
  usedClasses,
} from './server/consumers.ts';
import { deleteIfThere } from './server/delete-consumer.ts';
import { allConsumers } from './server/list-consumers.ts';
import { removeRecords } from './server/removal.ts';
import type { Space } from './server/space.ts';
import { WireRecord } from './wire/record.ts';

/** Records that are asked for at a time; each is a question of its own, and they go out together. */
const AT_ONCE = 64;

/** How often, and after how many milliseconds, a consumer that has not heard of the last records is looked at again. */
const LOOKS = 10;
const LOOK_AGAIN = 10;

/** Care of one prefix. What is asked for by name is created, whatever the bus's `provision` says. */
export class NatsAdmin implements Admin {
  readonly #space: () => Promise<Space>;

  /** @param space - the bus's, or a throw where there is none */
  constructor(space: () => Promise<Space>) {
    this.#space = space;
  }

  async listTopics(): Promise<readonly TopicInfo[]> {
    const space = await this.#space();
    const { names } = space;
    const [marks, data] = await Promise.all([
      space.subjects(names.topicMark('>'), space.own),
      space.subjects(names.data('*', '>')),
    ]);
    const depths = new Map<string, number>();
    for (const subject of marks.keys()) depths.set(names.topicOfMark(subject), 0);
    for (const [subject, count] of data) {
      const topic = names.topicOf(subject);
      const depth = depths.get(topic);
      if (depth !== undefined) depths.set(topic, depth + count);
    }
    const found = [...depths];
    const topics: TopicInfo[] = [];
    for (let at = 0; at < found.length; at += AT_ONCE) {
      const some = found.slice(at, at + AT_ONCE).map(async ([topic, depth]) => ({
        topic,
        depth,
        retention: await space.trimmer.retentionOf(topic),
      }));
      topics.push(...(await Promise.all(some)));
    }
    return topics;
  }

  async ensureTopic(topic: string): Promise<void> {
    await (await this.#space()).ensureTopic(topic, true);
  }

  async deleteTopic(topic: string): Promise<boolean> {
    const space = await this.#space();
    const mark = space.names.topicMark(topic);
    const wasThere = (await space.api.last(space.own, mark)) !== undefined;
    const [records] = await Promise.all([this.purge(topic), space.purgeOwn(mark)]);
    space.forgetTopic(topic);
    return wasThere || records > 0;
  }

  async listGroups(): Promise<readonly GroupInfo[]> {
    const space = await this.#space();
    const consumers = await allConsumers(space);
    const groups = consumers.map(groupOf).filter((one) => one !== undefined);
    return Promise.all(groups.map(({ group, pattern, info }) => describe(space, pattern, group, info)));
  }

  async group(pattern: string, group: string): Promise<GroupInfo | undefined> {
    const space = await this.#space();
    const info = await infoOf(space, consumerName(pattern, group));
    return info === undefined ? undefined : describe(space, pattern, group, info);
  }

  async ensureGroup(pattern: string, group: string, from: StartPosition): Promise<void> {
    const space = await this.#space();
    await space.ensure(pattern);
    if (isLiteral(pattern)) await space.ensureTopic(pattern, true);
    const info = await ensureGroup(space, pattern, group, from, true);
    // Who works with the group may be somebody who may create nothing.
    await ensureClasses(space, info, pattern, group);
  }

  async deleteGroup(pattern: string, group: string): Promise<boolean> {
    const space = await this.#space();
    const base = consumerName(pattern, group);
    // The plain one first: members look for it to know whether they were deleted.
    const wasThere = await deleteIfThere(space, base);
    tellDeleted(space, base);
    const consumers = RARE_CLASSES.map((recordClass) => classConsumer(base, recordClass));
    await Promise.all(
      consumers.flatMap((name) => [
        deleteIfThere(space, name),
        space.purgeOwn(space.names.lane(name)),
        space.purgeOwn(space.names.released(name, '*')),
      ]),
    );
    await Promise.all([
      space.purgeOwn(space.names.released(base, '*')),
      space.purgeOwn(space.names.member(base, '*')),
    ]);
    return wasThere;
  }

  async purge(topic: string): Promise<number> {
    const space = await this.#space();
    const [records, scheduled] = await Promise.all([
      removeRecords(space, topic),
      space.removeDelayed(space.names.schedules('*', topic)),
    ]);
    return records + scheduled;
  }

  async browse(topic: string, cursor: string | undefined, limit: number): Promise<Page> {
    const space = await this.#space();
    if (cursor === undefined) await space.trimmer.look(topic);
    let seq = cursor === undefined ? 1 : position(cursor, topic);
    const end = (await space.info()).state.last_seq;
    // One class after the other's next: the server finds a plain subject at once, and searches for one with a wildcard.
    const nextOf = async (recordClass: RecordClass, from: number): Promise<Stored | undefined> => {
      const found = await space.api.next(space.stream, from, space.names.data(recordClass, topic));
      return found === undefined || found.seq > end ? undefined : found;
    };
    const heads = new Map<RecordClass, Stored>();
    await Promise.all(
      (['n', ...RARE_CLASSES] as const).map(async (recordClass) => {
        const found = await nextOf(recordClass, seq);
        if (found !== undefined) heads.set(recordClass, found);
      }),
    );
    const records: StoredRecord[] = [];
    while (records.length < limit && heads.size > 0) {
      const [recordClass, found] = [...heads].reduce((a, b) => (b[1].seq < a[1].seq ? b : a));
      const record = new WireRecord(topic, 'durable', found, space.stream, found.seq, found.time);
      records.push({ record, position: String(found.seq) });
      seq = found.seq + 1;
      const next = await nextOf(recordClass, seq);
      if (next === undefined) heads.delete(recordClass);
      else heads.set(recordClass, next);
    }
    return { records, cursor: heads.size === 0 ? undefined : String(seq) };
  }

  async remove(topic: string, positions: readonly string[]): Promise<number> {
    const space = await this.#space();
    let removed = 0;
    for (let at = 0; at < positions.length; at += AT_ONCE) {
      const some = positions.slice(at, at + AT_ONCE);
      const results = await Promise.all(some.map((one) => removeOne(space, topic, one)));
      removed += results.filter(Boolean).length;
    }
    return removed;
  }
}

async function removeOne(space: Space, topic: string, place: string): Promise<boolean> {
  const seq = Number(place);
  if (!Number.isSafeInteger(seq) || seq < 1) return false;
  // Numbers are the stream's: one of another topic is not ours to remove.
  const found = await space.api.at(space.stream, seq);
  if (found === undefined || space.names.topicOf(found.subject) !== topic) return false;
  return space.removeOne(space.stream, seq);
}

function position(cursor: string, topic: string): number {
  const seq = Number(cursor);
  if (Number.isSafeInteger(seq) && seq >= 1) return seq;
  throw new ValidationError(`"${cursor}" is no cursor of "${topic}"`, { topic, broker: 'nats' });
}

/** Counts over the plain consumer and those of the rare classes, which are made first where there is something for them. */
async function describe(
  space: Space,
  pattern: string,
  group: string,
  plain: ConsumerInfo,
  looks: number = LOOKS,
): Promise<GroupInfo> {
  const base = consumerName(pattern, group);
  const [members, others] = await Promise.all([
    space.subjects(space.names.member(base, '*'), space.own),
    usedClasses(space, plain, pattern).then((used) =>
      Promise.all(used.map((recordClass) => ensureClass(space, plain, pattern, group, recordClass))),
    ),
  ]);
  const consumers = [plain, ...others.filter((one) => one !== undefined)];
  const sum = (count: (info: ConsumerInfo) => number): number =>
    consumers.reduce((total, info) => total + count(info), 0);
  const unsettled = sum((info) => info.num_ack_pending);
  const lent = unsettled === 0 ? 0 : await lentOf(space, base, members.size);
  const depth = unsettled + sum((info) => info.num_pending);
  const isBehind = depth === 0 && (await areBehind(space, consumers));
  if (isBehind && !space.link.driver.isClustered && looks > 0) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN).unref());
    const again = await infoOf(space, base);
    if (again !== undefined) return describe(space, pattern, group, again, looks - 1);
  }
  return {
    group,
    pattern,
    depth: isBehind ? 1 : depth,
    inFlight: Math.min(lent, unsettled),
    members: members.size,
  };
}

/** Whether there is something before one of them: a consumer's own server may not have heard of it yet. */
async function areBehind(space: Space, consumers: readonly ConsumerInfo[]): Promise<boolean> {
  const found = await Promise.all(
    consumers.flatMap(({ config, delivered }) =>
      filtersOf(config).map((subject) => space.api.next(space.stream, delivered.stream_seq + 1, subject)),
    ),
  );
  return found.some((record) => record !== undefined);
}
