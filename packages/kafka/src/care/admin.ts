import {
  type Admin,
  BusError,
  type GroupInfo,
  type Page,
  type StartPosition,
  type TopicInfo,
} from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import { Code, serverError } from '../driver/errors.ts';
import {
  deleteGroups,
  describeGroups,
  type GroupDescription,
  listGroups,
  removeStatic,
} from '../driver/group-requests.ts';
import { deleteTopics, describeTopics } from '../driver/topic-requests.ts';
import { Ledger } from '../feed/ledger.ts';
import { sourceTopics } from '../feed/topics.ts';
import { committed, readMarker } from '../group/positions.ts';
import { GroupSubscription } from '../group/subscription.ts';
import type { Hub } from '../hub.ts';
import { DURABLE_KINDS } from '../names.ts';
import { browse } from './browse.ts';
import { extentsOf } from './extents.ts';
import { depth, purge, refuseShared, remove } from './remove.ts';

const TIMEOUT = 10_000;
const LOOK = 30;
/** Topics that are counted at a time. */
const AT_ONCE = 16;

/** Care of one prefix. What is asked for by name is created, whatever the bus's `provision` says. */
export class KafkaAdmin implements Admin {
  readonly #hub: () => Hub;

  /** @param hub - the bus's connection, or a throw if there is none */
  constructor(hub: () => Hub) {
    this.#hub = hub;
  }

  async listTopics(): Promise<readonly TopicInfo[]> {
    const hub = this.#hub();
    const topics = await hub.catalog.refreshAll();
    const parts = topics.filter(({ name }) => {
      const place = hub.parse(name);
      return place?.topic !== undefined && DURABLE_KINDS.includes(place.kind);
    });
    const names = new Set(parts.map(({ name }) => hub.parse(name)!.topic!));
    const mains = [...names].map((topic) => hub.place(topic, 'main'));
    const configs =
      mains.length === 0 ? new Map() : await hub.cluster.sendToAny(describeTopics(mains, ['retention.ms']));
    const all = await extentsOf(hub, parts, (name) => hub.parse(name)!.kind);
    const byTopic = Map.groupBy(all, ({ topic }) => hub.parse(topic)!.topic!);
    const list: TopicInfo[] = [];
    const left = [...names];
    while (left.length > 0) {
      const infos = left.splice(0, AT_ONCE).map(async (topic) => {
        const maxAge = Number(configs.get(hub.place(topic, 'main'))?.['retention.ms'] ?? -1);
        const retention = maxAge < 0 ? {} : { maxAge };
        return { topic, depth: await depth(hub, byTopic.get(topic) ?? []), retention };
      });
      list.push(...(await Promise.all(infos)));
    }
    return list;
  }

  async ensureTopic(topic: string): Promise<void> {
    await this.#hub().ensure(topic);
  }

  async deleteTopic(topic: string): Promise<boolean> {
    const hub = this.#hub();
    refuseShared(hub, topic, 'deleted');
    const names = DURABLE_KINDS.map((kind) => hub.place(topic, kind));
    await hub.catalog.refresh(names);
    const there = names.filter((name) => hub.catalog.known(name) !== undefined);
    if (there.length === 0) return false;
    // Who hears of it does not take it for a loss, also who has looked again before it was gone.
    const tell = async (): Promise<void> => {
      for (const name of there) hub.catalog.deleted(name);
      await hub.announce({ deleted: there }).catch(() => {});
    };
    await tell();
    const answers = await hub.cluster.sendToController(deleteTopics(there, TIMEOUT));
    for (const { error } of answers) {
      if (error !== 0 && error !== Code.unknownTopic)
        throw serverError(error, `deleting topic "${topic}"`, topic);
    }
    const deadline = Date.now() + TIMEOUT;
    for (;;) {
      await hub.catalog.refresh(there);
      if (there.every((name) => hub.catalog.known(name) === undefined) || Date.now() > deadline) break;
      await wait(LOOK);
    }
    await tell();
    return true;
  }

  async listGroups(): Promise<readonly GroupInfo[]> {
    const hub = this.#hub();
    const ids = await groupIds(hub);
    const infos = await Promise.all(
      [...ids].map(async (id) => {
        const parsed = hub.names.parseGroup(id);
        return parsed && this.group(parsed.pattern, parsed.group);
      }),
    );
    return infos.filter((info) => info !== undefined);
  }

  async group(pattern: string, group: string): Promise<GroupInfo | undefined> {
    const hub = this.#hub();
    const id = hub.names.group(group, pattern, 'durable');
    const marker = await readMarker(hub.cluster, id, hub.names.control);
    if (marker === undefined) return undefined;
    const source = { pattern, group, channel: 'durable', from: 'new', prefetch: 1, order: 'skip' } as const;
    const topics = await sourceTopics(hub, source, true);
    const places = topics.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
    );
    const description = await describe(hub, id);
    const members = description?.members.length ?? 0;
    // The log's end is asked for first: what is settled meanwhile only makes the depth smaller.
    const all = await extentsOf(
      hub,
      topics.flatMap(({ name }) => hub.catalog.known(name) ?? []),
      (name) => topics.find((topic) => topic.name === name)!.kind,
    );
    const known = new Map(
      (await committed(hub.cluster, id, places)).map((one) => [`${one.topic}/${one.partition}`, one]),
    );
    let waiting = 0;
    let inFlight = 0;
    for (const { topic, partition, start, end } of all) {
      const one = known.get(`${topic}/${partition}`);
      const ledger = one === undefined ? new Ledger(0) : Ledger.decode(one.offset, one.metadata);
      ledger.raise(start);
      let settled = 0;
      for (const [from, to] of ledger.settled) settled += Math.min(to, end) - from;
      waiting += Math.max(0, end - ledger.floor - settled);
      inFlight += ledger.inFlight;
    }
    return { group, pattern, depth: waiting, inFlight: members === 0 ? 0 : inFlight, members };
  }

  async ensureGroup(pattern: string, group: string, from: StartPosition): Promise<void> {
    const hub = this.#hub();
    const id = hub.names.group(group, pattern, 'durable');
    if ((await readMarker(hub.cluster, id, hub.names.control)) !== undefined) return;
    // A member that wants nothing: the group is made as by any first member.
    const source = { pattern, group, channel: 'durable', from, prefetch: 1, order: 'skip' } as const;
    const sink = { deliver() {}, lost() {}, failed() {} };
    const member = new GroupSubscription(hub, source, sink);
    await member.pause();
    try {
      // It is none of the bus's own subscriptions, which the broker ends.
      await Promise.race([member.start(), hub.ended]);
    } finally {
      await member.close();
    }
  }

  async deleteGroup(pattern: string, group: string): Promise<boolean> {
    const hub = this.#hub();
    const id = hub.names.group(group, pattern, 'durable');
    if ((await readMarker(hub.cluster, id, hub.names.control)) === undefined) return false;
    const deadline = Date.now() + TIMEOUT;
    await hub.announce({ group: id }).catch((error: unknown) => {
      if (!BusError.is(error)) throw error;
    });
    for (;;) {
      const [answer] = await hub.cluster.sendToCoordinator(
        id,
        deleteGroups([id]),
        (all) => all[0]?.error ?? 0,
      );
      const error = answer?.error ?? 0;
      if (error === 0 || error === Code.groupIdNotFound) {
        const [retries] = await hub.catalog.find([hub.names.retries(id)]);
        if (retries !== undefined) await hub.cluster.sendToController(deleteTopics([retries.name], TIMEOUT));
        return true;
      }
      if (error !== Code.nonEmptyGroup || Date.now() > deadline)
        throw serverError(error, `deleting group "${group}"`);
      await expelStatic(hub, id);
      await wait(LOOK);
    }
  }

  purge(topic: string): Promise<number> {
    return purge(this.#hub(), topic);
  }

  async browse(topic: string, cursor: string | undefined, limit: number): Promise<Page> {
    return browse(this.#hub(), topic, cursor, limit);
  }

  remove(topic: string, positions: readonly string[]): Promise<number> {
    return remove(this.#hub(), topic, positions);
  }
}

async function describe(hub: Hub, id: string): Promise<GroupDescription | undefined> {
  const request = describeGroups([id]);
  const [found] = await hub.cluster.sendToCoordinator(id, request, (all) => all[0]?.error ?? 0);
  return found;
}

/** Members with static ids do not leave by themselves, and may be gone for long: the server keeps their places. */
async function expelStatic(hub: Hub, id: string): Promise<void> {
  const { members = [] } = (await describe(hub, id)) ?? {};
  const instances = members.flatMap(({ instance }) => instance ?? []);
  if (instances.length === 0) return;
  await hub.cluster.sendToCoordinator(id, removeStatic(id, instances), (error) => error);
}

/** Every server knows those that it coordinates. What one has that is just going is soon with another. */
async function groupIds(hub: Hub): Promise<ReadonlySet<string>> {
  const deadline = Date.now() + TIMEOUT;
  for (;;) {
    try {
      await hub.cluster.metadata([]);
      const answers = await Promise.all(
        hub.cluster.nodes().map((node) => hub.cluster.send(node, listGroups())),
      );
      const loading = answers.find(({ error }) => error !== 0);
      if (loading !== undefined) throw serverError(loading.error, 'listing groups');
      return new Set(answers.flatMap(({ groups }) => groups));
    } catch (error) {
      if (!BusError.is(error) || !error.retryable || Date.now() > deadline) throw error;
      await wait(LOOK);
    }
  }
}
