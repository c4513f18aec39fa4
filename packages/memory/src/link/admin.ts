// Imported by name: a test runner's fake timers replace the global ones, and no test would move time for this.
import { setImmediate } from 'node:timers/promises';
import {
  type Admin,
  type GroupInfo,
  type Page,
  type StartPosition,
  type TopicInfo,
  ValidationError,
} from '@ambus/core';
import type { Group } from '../group/group.ts';
import { deleteGroup, ensureGroup } from '../hub/membership.ts';
import type { Connection } from './connection.ts';

/** Care of one space. What is asked for by name is created, whatever the bus's `provision` says. */
export class MemoryAdmin implements Admin {
  readonly #connection: () => Connection;

  /** @param connection - the bus's connection, or a throw if there is none */
  constructor(connection: () => Connection) {
    this.#connection = connection;
  }

  listTopics(): Promise<readonly TopicInfo[]> {
    return this.#ask(({ space, server }) =>
      Array.from(space.topics.values(), (topic) => {
        topic.trim(server.now());
        return { topic: topic.name, depth: topic.log.size, retention: topic.retention };
      }),
    );
  }

  ensureTopic(topic: string): Promise<void> {
    return this.#ask(({ space, origin }) => {
      space.topic(topic, { ...origin, create: true });
    });
  }

  deleteTopic(topic: string): Promise<boolean> {
    return this.#ask(({ space }) => space.deleteTopic(topic));
  }

  listGroups(): Promise<readonly GroupInfo[]> {
    return this.#ask(({ space }) => space.routes.durable().map(infoOf));
  }

  group(pattern: string, group: string): Promise<GroupInfo | undefined> {
    return this.#ask(({ space }) => {
      const found = space.routes.durable().find((one) => one.name === group && one.pattern === pattern);
      return found && infoOf(found);
    });
  }

  ensureGroup(pattern: string, group: string, from: StartPosition): Promise<void> {
    return this.#ask(({ space }) => {
      ensureGroup(space, pattern, group, 'durable', from, true);
    });
  }

  deleteGroup(pattern: string, group: string): Promise<boolean> {
    return this.#ask(({ space }) => deleteGroup(space, pattern, group));
  }

  purge(topic: string): Promise<number> {
    return this.#ask(({ space }) => space.purge(topic));
  }

  async browse(topic: string, cursor: string | undefined, limit: number): Promise<Page> {
    // A long scan, page after page, would otherwise keep the process from everything else.
    await setImmediate();
    return this.#ask(({ space, server }) => {
      const found = space.topics.get(topic);
      if (found === undefined) return { records: [], cursor: undefined };
      found.trim(server.now());
      const start = cursor === undefined ? 0 : found.log.fromSeq(place(cursor));
      const end = Math.min(start + limit, found.log.size);
      const records: Page['records'][number][] = [];
      for (let index = start; index < end; index++) {
        const { record, seq } = found.log.at(index);
        records.push({ record, position: String(seq) });
      }
      return { records, cursor: end < found.log.size ? String(found.log.at(end).seq) : undefined };
    });
  }

  remove(topic: string, positions: readonly string[]): Promise<number> {
    return this.#ask(({ space }) => space.remove(topic, new Set(positions.map(Number))));
  }

  async #ask<T>(effect: (connection: Connection) => T): Promise<T> {
    const connection = this.#connection();
    return connection.request(() => effect(connection));
  }
}

function infoOf(group: Group): GroupInfo {
  return {
    group: group.name!,
    pattern: group.pattern,
    depth: group.waiting + group.inFlight,
    inFlight: group.inFlight,
    members: group.members.length,
  };
}

function place(cursor: string): number {
  if (!/^\d+$/.test(cursor))
    throw new ValidationError(`cursor ${JSON.stringify(cursor)} is not one of this broker's`);
  return Number(cursor);
}
