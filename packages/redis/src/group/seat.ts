import { randomBytes } from 'node:crypto';
import type { BrokerHost } from '@ambus/core';
import { ConfigError } from '@ambus/core';
import type { Context, Sitting } from '../context.ts';
import { streamName } from '../keys.ts';
import { limitsOf, missingTopic } from '../publish/publisher.ts';
import { SCRIPTS } from '../scripts/index.ts';
import { type Kind, type RawEntry, readEntry, type Stored } from '../wire/entry.ts';

/** What a seat tells its subscription. */
export interface SeatEvents {
  /** The records that this member had are not its any more. */
  lost(member: string): void;
  /** The group was deleted. */
  deleted(): void;
  failed(error: unknown): void;
  /** There may be something to take. */
  wake(): void;
}

/** What a take brought. */
export interface Taken {
  readonly entries: Stored[];
  /** Milliseconds until the next retry is due; -1 when none waits. */
  readonly next: number;
  readonly more: boolean;
}

type Reply = readonly [
  status: Buffer,
  next: number | Buffer,
  more: number,
  lists: readonly List[],
  healed: number,
  special: number,
];
type List = readonly [topic: Buffer, kind: Buffer, attempt: number, entries: readonly RawEntry[]];

/** Most topics that one take looks at: it holds up everybody else meanwhile. */
const MAX_TOPICS = 64;

/** The place of one subscription in a group, in one shard. */
export class Seat implements Sitting {
  readonly tag: string;
  readonly group: string;
  readonly pattern: string;
  member: string;
  epoch = '';
  /** Topics that the pattern matches, as far as known. */
  readonly topics: Set<string> = new Set();
  /** Those of them that may hold something. */
  readonly hot: Set<string> = new Set();
  /** A retry is due. */
  isDue = false;
  /** A take is under way, or a look at what it holds. */
  isTaking = false;
  /** The server may hold something for it of which nobody here knows. */
  isDoubtful = false;
  /** By name: what core is done with, and the server would not settle. */
  readonly unsettled: Map<string, Stored> = new Map();
  /** When the server was asked what it holds. */
  lookedAt: number = performance.now();
  isJoined = false;
  /** Given up, and not a member again yet. */
  isLost = false;
  /** Somebody waits for what comes on the plain stream. */
  readonly hasReader: boolean;
  #renewedAt = 0;
  /** What it was called when it was given up. */
  #former = '';
  #rejoining: Promise<void> | undefined;
  readonly #context: Context;
  readonly #events: SeatEvents;
  readonly #streamOf = (topic: string, kind: Kind): string => streamName(this.tag, topic, kind);

  constructor(
    tag: string,
    group: string,
    pattern: string,
    hasReader: boolean,
    context: Context,
    events: SeatEvents,
  ) {
    this.tag = tag;
    this.hasReader = hasReader;
    this.group = group;
    this.pattern = pattern;
    this.#context = context;
    this.#events = events;
    this.member = context.nextMember();
  }

  /** Whether the lease is surely still ours. */
  get isFresh(): boolean {
    return performance.now() - this.#renewedAt < this.#context.memberLease * 0.8;
  }

  /** @param from - the id after which a group starts that has to be made, or `$` */
  async join(from: string): Promise<void> {
    const { session } = this.#context;
    const since = performance.now();
    const reply = (await session.run(SCRIPTS.join, this.tag, this.#joinArgs(from))) as unknown[];
    const status = String(reply[0]);
    if (status === 'topic') throw missingTopic(this.pattern);
    if (status === 'group') throw missingGroup(this.group);
    const epoch = String(reply[1]);
    if (this.epoch !== '' && this.epoch !== epoch) this.#context.lostState();
    this.epoch = epoch;
    for (const topic of reply[3] as Buffer[]) this.topics.add(topic.toString());
    this.isJoined = true;
    this.isLost = false;
    this.renewed(since);
    this.heat();
  }

  #joinArgs(from: string): (string | number)[] {
    const { host, names, memberLease } = this.#context;
    const [most, age] = limitsOf(host, this.pattern);
    const create = mayCreate(host) ? 1 : 0;
    const epoch = randomBytes(8).toString('hex');
    return [
      names.root,
      this.group,
      this.member,
      memberLease,
      create,
      from,
      epoch,
      most as number,
      age as number,
    ];
  }

  /** Everything may hold something. */
  heat(): void {
    for (const topic of this.topics) this.hot.add(topic);
    this.isDue = true;
  }

  get isHot(): boolean {
    return this.hot.size > 0 || this.isDue;
  }

  renewed(since: number): void {
    this.#renewedAt = since;
  }

  lost(isGroupGone: boolean, epoch: string): void {
    if (!this.isJoined && !this.isLost) return;
    const wasJoined = this.isJoined;
    this.isJoined = false;
    this.isLost = !isGroupGone || epoch !== this.epoch;
    if (!this.isLost) {
      this.#events.deleted();
      return;
    }
    if (wasJoined) {
      // Under a new name: what still comes for the old one must not be mistaken.
      this.#former = this.member;
      this.member = this.#context.nextMember();
      this.#events.lost(this.#former);
    }
    this.#rejoining ??= this.#rejoin().finally(() => {
      this.#rejoining = undefined;
    });
  }

  /** Never rejects: what fails in passing is tried again with the next `resume`. */
  async #rejoin(): Promise<void> {
    const { session, names } = this.#context;
    try {
      // After the server has lost its state, all that is there came since.
      await this.join('0');
    } catch (error) {
      this.#events.failed(error);
      return;
    }
    // Others give back what it had, too, only later.
    await session.run(SCRIPTS.leave, this.tag, [names.root, this.group, this.#former]).catch(() => {});
    this.#events.wake();
  }

  /** Takes up the seat on a new connection, or where it is lost. Returns what the server says that it holds. */
  async resume(): Promise<readonly HeldEntry[]> {
    const { member } = this;
    const { session, names, memberLease } = this.#context;
    const since = performance.now();
    const args = [names.root, memberLease, 0, this.group, member];
    const [epoch, , states] = (await session.run(SCRIPTS.beat, this.tag, args)) as [Buffer, Buffer, number[]];
    if (member !== this.member) return [];
    if (states[0] !== 1 || this.isLost) {
      this.lost(states[0]! < 0, states[0] === -2 ? '' : String(epoch));
      await this.#rejoining;
      return [];
    }
    this.renewed(since);
    this.heat();
    this.lookedAt = since;
    const held = (await session.run(SCRIPTS.held, this.tag, [names.root, this.group, member])) as Buffer[];
    const entries: HeldEntry[] = [];
    for (let at = 0; at < held.length; at += 3) {
      entries.push({ topic: String(held[at]), kind: String(held[at + 1]) as Kind, id: String(held[at + 2]) });
    }
    return entries;
  }

  /** Undefined when the seat is lost; that was told. */
  async take(want: number, laneLimit: number, keysFirst: boolean): Promise<Taken | undefined> {
    const { session, names } = this.#context;
    const { member } = this;
    const topics: string[] = [];
    for (const topic of this.hot) {
      if (topics.length === MAX_TOPICS) break;
      topics.push(topic);
      this.hot.delete(topic);
    }
    this.isDue = false;
    const args = [names.root, this.group, member, want, laneLimit, keysFirst ? 1 : 0, ...topics];
    const reply = (await session.run(SCRIPTS.take, this.tag, args)) as Reply;
    const status = reply[0].toString('latin1');
    if (status !== 'ok') {
      this.lost(status === 'gone', String(reply[1]));
      return undefined;
    }
    if (reply[4] === 1) this.#context.lostState();
    const entries: Stored[] = [];
    for (const list of reply[3]) this.#read(list, member, entries);
    // The rest of the plain stream is the reader's.
    const isForReader = this.hasReader && reply[5] === 0;
    const more = reply[2] === 1 || (entries.length >= want && !isForReader);
    if (more) {
      askAgain(this.hot, topics, reply[3]);
      this.isDue = true;
    }
    return { entries, next: Number(reply[1]), more };
  }

  #read([topic, kind, attempt, raw]: List, holder: string, into: Stored[]): void {
    const place = {
      topic: topic.toString(),
      kind: kind.toString('latin1') as Kind,
      attempt: attempt === 0 ? 1 : attempt,
      holder,
      streamOf: this.#streamOf,
    };
    for (const entry of raw) into.push(readEntry(entry, place));
  }

  /** Entries of the plain stream, read without a script. */
  readPlain(raw: readonly RawEntry[], holder: string): Stored[] {
    const place = { topic: this.pattern, kind: '2', attempt: 1, holder, streamOf: this.#streamOf } as const;
    return raw.map((entry) => readEntry(entry, place));
  }
}

/**
 * Those that had their turn come last, or one that never runs dry would keep the others waiting.
 *
 * @param hot - topics to ask; a bell may have put some of them back meanwhile
 */
export function askAgain(
  hot: Set<string>,
  asked: readonly string[],
  lists: readonly (readonly [topic: Buffer, ...rest: unknown[]])[],
): void {
  const served = new Set(lists.map(([topic]) => topic.toString()));
  for (const topic of asked) if (!served.has(topic)) hot.add(topic);
  for (const topic of asked) {
    if (!served.has(topic)) continue;
    hot.delete(topic);
    hot.add(topic);
  }
}

/** An entry that the server says a member holds. */
export interface HeldEntry {
  readonly topic: string;
  readonly kind: Kind;
  readonly id: string;
}

export function mayCreate({ provision }: BrokerHost): boolean {
  return provision === 'create';
}

export function missingGroup(name: string): ConfigError {
  const [group, pattern] = name.split('|');
  return new ConfigError(`group "${group}" on "${pattern}" does not exist, and this bus may not create it`, {
    topic: pattern,
    broker: 'redis',
  });
}
