import { randomBytes } from 'node:crypto';
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
import type { Context } from './context.ts';
import type { Arg } from './driver/encode.ts';
import type { Script } from './driver/script.ts';
import { toBusError } from './errors.ts';
import { startOf } from './group/start.ts';
import { groupName, streamName } from './keys.ts';
import { limitsOf } from './publish/publisher.ts';
import { SCRIPTS } from './scripts/index.ts';
import { type Kind, type RawEntry, readEntry } from './wire/entry.ts';

const KINDS: readonly Kind[] = ['0', '1', '2', '3', '4', 'k'];

/** Care of what lies on the server. What is asked for by name is created, whatever the bus's `provision` says. */
export class RedisAdmin implements Admin {
  readonly #context: () => Context;

  /** @param context - what the broker is connected with, or a throw if it is not */
  constructor(context: () => Context) {
    this.#context = context;
  }

  async listTopics(): Promise<readonly TopicInfo[]> {
    const lists = (await this.#everywhere(SCRIPTS.listTopics, [])) as [Buffer, number, number, number][];
    return lists.map(([topic, depth, most, age]) => ({
      topic: topic.toString(),
      depth,
      retention: {
        ...(most < 0 ? undefined : { maxMessages: most }),
        ...(age < 0 ? undefined : { maxAge: age }),
      },
    }));
  }

  async ensureTopic(topic: string): Promise<void> {
    await this.#ask(SCRIPTS.ensureTopic, topic, [topic, ...limitsOf(this.#context().host, topic)]);
  }

  async deleteTopic(topic: string): Promise<boolean> {
    return (await this.#ask(SCRIPTS.deleteTopic, topic, [topic])) === 1;
  }

  async listGroups(): Promise<readonly GroupInfo[]> {
    return merge((await this.#everywhere(SCRIPTS.groups, [''])) as RawGroup[]);
  }

  async group(pattern: string, group: string): Promise<GroupInfo | undefined> {
    const found = await this.#where(pattern, SCRIPTS.groups, [groupName(group, pattern)]);
    return merge(found.flat() as RawGroup[])[0];
  }

  async ensureGroup(pattern: string, group: string, from: StartPosition): Promise<void> {
    const limits = limitsOf(this.#context().host, pattern);
    const epoch = randomBytes(8).toString('hex');
    await this.#where(pattern, SCRIPTS.join, [
      groupName(group, pattern),
      '',
      0,
      1,
      startOf(from),
      epoch,
      ...limits,
    ]);
  }

  async deleteGroup(pattern: string, group: string): Promise<boolean> {
    const deleted = await this.#where(pattern, SCRIPTS.deleteGroup, [groupName(group, pattern)]);
    return deleted.includes(1);
  }

  async purge(topic: string): Promise<number> {
    return Number(await this.#ask(SCRIPTS.purge, topic, [topic]));
  }

  async browse(topic: string, cursor: string | undefined, limit: number): Promise<Page> {
    const place = cursor === undefined ? undefined : placeOf(cursor);
    // Ids of different streams may be the same: then the kind decides.
    const after =
      place === undefined
        ? []
        : KINDS.flatMap((kind) => [kind, kind > place.kind ? place.id : `(${place.id}`]);
    const { names } = this.#context();
    const tag = names.tagOf(topic);
    const lists = (await this.#ask(SCRIPTS.browse, topic, [topic, limit + 1, ...after])) as [
      Buffer,
      RawEntry[],
    ][];
    const found = lists.flatMap(([kindName, entries]) => {
      const kind = kindName.toString() as Kind;
      const streamOf = (name: string, of: Kind): string => streamName(tag, name, of);
      return entries.map((entry) => readEntry(entry, { topic, kind, attempt: 1, holder: '', streamOf }));
    });
    found.sort((a, b) => compareIds(a.entryId, b.entryId) || (a.kind < b.kind ? -1 : 1));
    const page = found.slice(0, limit);
    const last = page.at(-1);
    const records: StoredRecord[] = page.map(({ record, kind, entryId }) => ({
      record,
      position: `${kind}:${entryId}`,
    }));
    return { records, cursor: found.length > limit && last ? `${last.kind}:${last.entryId}` : undefined };
  }

  async remove(topic: string, positions: readonly string[]): Promise<number> {
    const places = positions.flatMap((position) => {
      const [, kind, id] = PLACE.exec(position) ?? [];
      return kind === undefined ? [] : [kind, id!];
    });
    if (places.length === 0) return 0;
    return Number(await this.#ask(SCRIPTS.remove, topic, [topic, ...places]));
  }

  async #ask(script: Script, topic: string, args: readonly Arg[]): Promise<unknown> {
    const { session, names } = this.#context();
    try {
      return await session.insist(script, names.tagOf(topic), [names.root, ...args]);
    } catch (error) {
      throw toBusError(error, { topic });
    }
  }

  /** In the one shard of a topic, or in all that a pattern may reach. */
  async #where(pattern: string, script: Script, args: readonly Arg[]): Promise<unknown[]> {
    if (isLiteral(pattern)) return [await this.#ask(script, pattern, args)];
    const { session, names } = this.#context();
    try {
      return await Promise.all(names.tags.map((tag) => session.insist(script, tag, [names.root, ...args])));
    } catch (error) {
      throw toBusError(error, { topic: pattern });
    }
  }

  async #everywhere(script: Script, args: readonly Arg[]): Promise<unknown[]> {
    return ((await this.#where('#', script, args)) as unknown[][]).flat();
  }
}

type RawGroup = readonly [name: Buffer, depth: number, inFlight: number, members: number];

/** A group of a pattern is in several shards. */
function merge(raw: readonly RawGroup[]): GroupInfo[] {
  const groups = new Map<string, GroupInfo>();
  for (const [name, depth, inFlight, members] of raw) {
    const full = name.toString();
    const at = full.indexOf('|');
    const known = groups.get(full);
    groups.set(full, {
      group: full.slice(0, at),
      pattern: full.slice(at + 1),
      depth: depth + (known?.depth ?? 0),
      inFlight: inFlight + (known?.inFlight ?? 0),
      members: Math.max(members, known?.members ?? 0),
    });
  }
  return [...groups.values()];
}

const PLACE = /^([0-4k]):(\d+-\d+)$/;

function placeOf(cursor: string): { readonly kind: string; readonly id: string } {
  const [, kind, id] = PLACE.exec(cursor) ?? [];
  if (kind === undefined)
    throw new ValidationError(`cursor ${JSON.stringify(cursor)} is not one of this broker's`);
  return { kind, id: id! };
}

function compareIds(a: string, b: string): number {
  const [aMs, aSeq] = a.split('-').map(Number) as [number, number];
  const [bMs, bSeq] = b.split('-').map(Number) as [number, number];
  return aMs - bMs || aSeq - bSeq;
}
