import { randomBytes } from 'node:crypto';
import {
  type BrokerSubscription,
  type Delivery,
  isLiteral,
  rememberingMatcher,
  type Sink,
  type Source,
} from '@ambus/core';
import { cannotReturn } from '../channels/subscription.ts';
import type { Context, Membership, Sitting } from '../context.ts';
import { Bells } from '../group/bells.ts';
import { askAgain, mayCreate } from '../group/seat.ts';
import { startOf } from '../group/start.ts';
import { globOf, streamName } from '../keys.ts';
import { limitsOf, missingTopic } from '../publish/publisher.ts';
import { SCRIPTS } from '../scripts/index.ts';
import { type Kind, type RawEntry, readEntry, type Stored } from '../wire/entry.ts';

const NONE: readonly Delivery[] = Object.freeze([]);
/** Most topics that one read looks at. */
const MAX_TOPICS = 64;

type List = readonly [
  topic: Buffer,
  kind: Buffer,
  attempt: number,
  entries: readonly RawEntry[],
  following: Buffer,
  gap: number,
];

/** How far a stream was read. */
interface Place {
  /** Of the last entry. */
  readonly id: string;
  /** The id of the next one: `-` where there was none yet, nothing before the first read. */
  readonly following: string;
}

/** A private copy of durable topics: it remembers for itself how far it has read, and leaves nothing on the server. */
export class LiveSubscription implements BrokerSubscription, Membership {
  readonly #context: Context;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #bells: Bells;
  /** By topic, of each of its streams. */
  readonly #positions = new Map<string, Map<string, Place>>();
  readonly #hot = new Set<string>();
  #out = 0;
  #isReading = false;
  /** Whether it is known where it begins: a bell that rings before must not have it read from the first record. */
  #isAttached = false;
  /** Shards that could not be asked yet what came while nobody listened. */
  readonly #behind = new Set<string>();
  #isScheduled = false;
  #isPaused = false;
  #closed = false;
  #hasWarned = false;
  #epoch = '';

  constructor(context: Context, source: Source, sink: Sink) {
    const { root } = context.names;
    const { pattern } = source;
    this.#context = context;
    this.#source = source;
    this.#sink = sink;
    this.#bells = new Bells(context, {
      group: '',
      special: isLiteral(pattern) ? `${root}B:${pattern}` : undefined,
      plain: isLiteral(pattern) ? `${root}b:${pattern}` : undefined,
      glob: isLiteral(pattern) ? undefined : `${root}[bB]:${globOf(pattern)}`,
      matches: rememberingMatcher(pattern),
      rung: (topic) => this.#rung(topic),
      deleted: () => {},
    });
  }

  get #tags(): readonly string[] {
    const { names } = this.#context;
    return isLiteral(this.#source.pattern) ? [names.tagOf(this.#source.pattern)] : names.tags;
  }

  async open(): Promise<void> {
    const { session, members } = this.#context;
    await session.ready();
    await this.#bells.open();
    const { from } = this.#source;
    await Promise.all(this.#tags.map((tag) => this.#attach(tag, from === 'new' ? 'new' : idOf(from))));
    if (this.#closed) return;
    this.#isAttached = true;
    members.add(this);
    this.poll();
  }

  /** Streams that are followed already stay where they are. */
  async #attach(tag: string, from: string): Promise<void> {
    const { session, names, host } = this.#context;
    const { pattern } = this.#source;
    const [most, age] = limitsOf(host, pattern);
    const epoch = randomBytes(8).toString('hex');
    const gone = new Set([...this.#positions.keys()].filter((topic) => names.tagOf(topic) === tag));
    const args = [names.root, pattern, mayCreate(host) ? 1 : 0, from, epoch, most, age];
    const reply = (await session.run(SCRIPTS.attach, tag, args)) as unknown[];
    if (String(reply[0]) === 'topic') throw missingTopic(pattern);
    const now = String(reply[1]);
    if (this.#epoch !== '' && this.#epoch !== now && names.tags.length === 1) this.#context.lostState();
    this.#epoch = now;
    const found = reply[3] as Buffer[];
    for (let at = 0; at < found.length; at += 3) {
      const [topic, kind, id] = [String(found[at]), String(found[at + 1]), String(found[at + 2])];
      const positions = this.#topic(topic);
      if (!positions.has(kind)) positions.set(kind, { id, following: '' });
      this.#hot.add(topic);
      gone.delete(topic);
    }
    for (const topic of gone) {
      this.#positions.delete(topic);
      this.#hot.delete(topic);
    }
  }

  #topic(topic: string): Map<string, Place> {
    let positions = this.#positions.get(topic);
    if (positions === undefined) {
      positions = new Map();
      this.#positions.set(topic, positions);
    }
    return positions;
  }

  #rung(topic: string): void {
    this.#topic(topic);
    this.#hot.add(topic);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      void this.#read();
    });
  }

  async #read(): Promise<void> {
    const { session, names } = this.#context;
    const room = this.#source.prefetch - this.#out;
    if (
      !this.#isAttached ||
      this.#isPaused ||
      this.#closed ||
      this.#isReading ||
      room <= 0 ||
      this.#hot.size === 0 ||
      !session.isUp
    )
      return;
    const byTag = Map.groupBy([...this.#hot].slice(0, MAX_TOPICS), (topic) => names.tagOf(topic));
    const [[tag, topics]] = byTag as unknown as [[string, string[]]];
    this.#isReading = true;
    for (const topic of topics) this.#hot.delete(topic);
    try {
      const args: (string | number)[] = [names.root, room];
      for (const topic of topics) {
        const positions = this.#positions.get(topic) ?? new Map<string, Place>();
        args.push(topic, positions.size);
        for (const [kind, { id, following }] of positions) args.push(kind, id, following);
      }
      const lists = (await session.run(SCRIPTS.follow, tag, args)) as List[];
      if (this.#isPaused || this.#closed) {
        for (const topic of topics) this.#hot.add(topic);
        return;
      }
      const records = this.#take(tag, lists);
      if (records.length >= room) askAgain(this.#hot, topics, lists);
      this.#out += records.length;
      if (records.length > 0) this.#sink.deliver(records);
    } catch {
      // The poll tries again.
      for (const topic of topics) this.#hot.add(topic);
      return;
    } finally {
      this.#isReading = false;
    }
    if (this.#hot.size > 0) this.#schedule();
  }

  #take(tag: string, lists: readonly List[]): Stored[] {
    const streamOf = (topic: string, kind: Kind): string => streamName(tag, topic, kind);
    const records: Stored[] = [];
    for (const [name, kindName, , entries, following, gap] of lists) {
      const topic = name.toString();
      const kind = kindName.toString('latin1') as Kind;
      for (const entry of entries) {
        records.push(readEntry(entry, { topic, kind, attempt: 1, holder: '', streamOf }));
      }
      const id = entries.at(-1)![0].toString('latin1');
      this.#topic(topic).set(kind, { id, following: following.toString('latin1') });
      if (gap === 1) this.#warn(topic);
    }
    return records;
  }

  #warn(topic: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#context.host.warning(
      `a subscription without a group misses messages of "${topic}" that were removed before it read them: let the topic keep more (retention), or subscribe with a group`,
      { topic, pattern: this.#source.pattern },
    );
  }

  // ---- what comes from core -----------------------------------------------------------------------------------------

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    this.#out -= deliveries.length;
    this.#schedule();
    return NONE;
  }

  nack(): Promise<readonly Delivery[]> {
    return Promise.reject(cannotReturn('nack'));
  }

  release(): Promise<void> {
    return Promise.reject(cannotReturn('release'));
  }

  async pause(): Promise<void> {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.poll();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#context.members.delete(this);
    this.#bells.close();
  }

  // ---- by the clock -------------------------------------------------------------------------------------------------

  poll(): void {
    for (const tag of this.#behind) void this.#catchUp(tag);
    for (const topic of this.#positions.keys()) this.#hot.add(topic);
    this.#schedule();
  }

  async restore(): Promise<void> {
    await Promise.all(this.#tags.map((tag) => this.#catchUp(tag)));
  }

  /** What came while nobody listened began after this subscription did. Never rejects: the poll tries again. */
  async #catchUp(tag: string): Promise<void> {
    this.#behind.delete(tag);
    try {
      await this.#attach(tag, '0-0');
      this.#schedule();
    } catch {
      this.#behind.add(tag);
    }
  }

  interrupted(): void {}

  seatsIn(): readonly Sitting[] {
    return [];
  }

  topicsChanged(tag: string): void {
    if (this.#tags.includes(tag))
      this.#attach(tag, '0-0').then(
        () => this.#schedule(),
        () => {},
      );
  }
}

function idOf(from: Exclude<Source['from'], 'new'>): string {
  const id = startOf(from);
  return id === '0' ? '0-0' : id;
}
