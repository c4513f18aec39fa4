import type { BusRecord } from '@ambus/core';
import { Delays } from '../consume/delays.ts';
import { soon } from '../consume/flow.ts';
import type { Link } from '../link/link.ts';
import { Names } from '../names.ts';
import { Api, apiError, CODES } from './api.ts';
import { News } from './news.ts';
import { ensureKeeper, findDelays } from './other-consumers.ts';
import { Trimmer } from './retention.ts';
import { missing, type StreamInfo, Streams } from './streams.ts';
import { widen } from './topic-mark.ts';

export { NANOSECONDS } from './stream-config.ts';
export { missing } from './streams.ts';

/** Milliseconds that somebody else's store may take in a cluster, and between two looks at it. */
const IN_PROCESS = 10_000;
const LOOK_AGAIN = 20;

/** Milliseconds that a bus which closes takes for others. */
const LAST = 500;

/** Records that are removed one by one at a time. */
const AT_ONCE = 64;

/** Stores only what is not there yet. */
const IF_MISSING = 'Nats-Expected-Last-Subject-Sequence: 0\r\n';

/**
 * The stream that holds one prefix's durable topics: made where it may be, and looked after. The bus's own records and
 * delayed messages lie in it, too, or in a companion where it would remove them.
 */
export class Space {
  readonly link: Link;
  readonly api: Api;
  readonly names: Names;
  readonly streams: Streams;
  readonly news: News;
  readonly trimmer: Trimmer;
  readonly delays: Delays;
  /** Grows each time the server turns out to have lost the stream. */
  generation = 0;
  /** Called when the stream was lost and is there again, empty. */
  readonly onLost: Set<() => void> = new Set();
  readonly #topics = new Map<string, Promise<void>>();
  readonly #known = new Set<string>();
  /** Topics for which the server has heard what this bus, which publishes to them, wants kept. */
  readonly #told = new Set<string>();
  /** Topics of dead letters for which there is what keeps them. */
  readonly #kept = new Set<string>();
  #ensuring: Promise<void> | undefined;
  #verifying: Promise<boolean> | undefined;

  constructor(link: Link) {
    this.link = link;
    this.api = new Api(link);
    this.names = new Names(link.host.prefix);
    this.streams = new Streams(link, this.api, this.names);
    this.trimmer = new Trimmer(this);
    this.delays = new Delays(this);
    link.listeners.add(this.trimmer);
    this.news = new News(link, this.names, (topic) => this.#forget(topic));
  }

  /** Holds the messages. */
  get stream(): string {
    return this.streams.name;
  }

  /** Holds the bus's own records and delayed messages. */
  get own(): string {
    return this.streams.own;
  }

  get mayCreate(): boolean {
    return this.link.host.provision === 'create';
  }

  /**
   * The stream is there when it resolves.
   *
   * @throws {ConfigError} naming `what` when it is missing and may not be created
   */
  ensure(what: string): Promise<void> {
    this.news.listen();
    this.#ensuring ??= this.streams.ensure(what).catch((error: unknown) => {
      this.#ensuring = undefined;
      throw error;
    });
    return this.#ensuring;
  }

  /** As `ensure`, where nobody else would find out that the stream was lost meanwhile. */
  async ensureStill(what: string): Promise<void> {
    const wasEnsured = this.#ensuring !== undefined;
    await this.ensure(what);
    if (wasEnsured) await this.verify(what);
  }

  /**
   * Looks whether the stream is still the one that it was, after something on it was not found, and makes it anew if it
   * is gone.
   *
   * @returns whether everything in it was lost
   */
  verify(what: string): Promise<boolean> {
    this.#verifying ??= this.#verify(what).finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  async info(subjects?: string): Promise<StreamInfo> {
    const request = subjects === undefined ? {} : { subjects_filter: subjects };
    return this.api.get<StreamInfo>(`STREAM.INFO.${this.stream}`, request);
  }

  /** How many messages each matching subject has, however many subjects there are. */
  async subjects(filter: string, stream: string = this.stream): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (;;) {
      const request = { subjects_filter: filter, offset: found.size };
      const { value, failure } = await this.api.ask<StreamInfo & { total?: number }>(
        `STREAM.INFO.${stream}`,
        request,
      );
      if (failure !== undefined && failure.err_code !== CODES.streamNotFound)
        throw apiError(`stream ${stream}`, failure);
      const page = Object.entries(value?.state.subjects ?? {});
      for (const [subject, count] of page) found.set(subject, count);
      if (page.length === 0 || found.size >= (value?.total ?? 0)) return found;
    }
  }

  /** Leaves the stream tidy, as far as that goes in a moment. */
  async close(): Promise<void> {
    await soon(Promise.all([this.trimmer.close(), this.delays.close()]), LAST);
  }

  /** Whether nothing needs to be done before this record is stored. */
  isReady(record: BusRecord): boolean {
    return this.#told.has(record.topic) && (!this.#isKeptApart(record) || this.#kept.has(record.topic));
  }

  /** What `isReady` asks for is done when it resolves. */
  async prepare(record: BusRecord): Promise<void> {
    const { topic } = record;
    await this.ensureTopic(topic);
    if (!this.#told.has(topic)) {
      // What cannot be told now is told by the next bus.
      if (this.mayCreate) await widen(this, topic).catch(() => {});
      // Not where it was deleted meanwhile.
      if (this.#known.has(topic)) this.#told.add(topic);
    }
    if (!this.#isKeptApart(record) || this.#kept.has(topic)) return;
    await ensureKeeper(this, topic);
    this.#kept.add(topic);
  }

  /** By interest the server would remove a dead letter at once: mostly there is no group on its topic. */
  #isKeptApart({ extensions }: BusRecord): boolean {
    return this.streams.retention === 'interest' && extensions?.deadLetter !== undefined;
  }

  /**
   * The topic exists when it resolves.
   *
   * @throws {ConfigError} naming it when it is missing and may not be created
   */
  ensureTopic(topic: string, create: boolean = this.mayCreate): Promise<void> {
    if (this.#known.has(topic)) return Promise.resolve();
    let ensuring = this.#topics.get(topic);
    if (ensuring === undefined) {
      ensuring = this.#mark(topic, create).finally(() => this.#topics.delete(topic));
      this.#topics.set(topic, ensuring);
    }
    return ensuring;
  }

  /** The topic was deleted: whoever publishes to it makes it anew. */
  forgetTopic(topic: string): void {
    this.#forget(topic);
    this.news.tellDeleted(topic);
  }

  #forget(topic: string): void {
    this.#known.delete(topic);
    this.#told.delete(topic);
  }

  /** Removes own records or delayed messages. */
  purgeOwn(subject: string): Promise<number> {
    return this.purge(this.own, subject);
  }

  /**
   * Removes delayed messages. One by one where a consumer holds them, or some from before an upgrade: after a purge the
   * server takes others that are held there for acked, and never delivers them.
   */
  async removeDelayed(subject: string): Promise<number> {
    if (this.streams.canSchedule && (await findDelays(this)) === undefined) return this.purgeOwn(subject);
    return this.removeEach(this.own, subject);
  }

  /** Removes what lies below `end`, or all, at once. What that does to consumers see `removeRecords`. */
  async purge(stream: string, filter: string, end: number = Number.POSITIVE_INFINITY): Promise<number> {
    const request = end === Number.POSITIVE_INFINITY ? { filter } : { filter, seq: end };
    const { value, failure } = await this.api.ask<{ purged: number }>(`STREAM.PURGE.${stream}`, request);
    if (failure === undefined) return value.purged;
    if (failure.err_code === CODES.streamNotFound) return 0;
    throw apiError(`stream ${stream}`, failure);
  }

  /** Removes one by one what lies from `from` on and below `end`, up to about `most`: consumers stay where they are. */
  async removeEach(
    stream: string,
    subject: string,
    from = 1,
    end: number = Number.POSITIVE_INFINITY,
    most: number = Number.POSITIVE_INFINITY,
  ): Promise<number> {
    let count = 0;
    for (let next = from; ; ) {
      const found: number[] = [];
      while (found.length < AT_ONCE) {
        const record = await this.api.next(stream, next, subject);
        if (record === undefined || record.seq >= end) break;
        found.push(record.seq);
        next = record.seq + 1;
      }
      const removed = await Promise.all(found.map((seq) => this.removeOne(stream, seq)));
      count += removed.filter(Boolean).length;
      if (found.length < AT_ONCE || count >= most) return count;
    }
  }

  /** @returns whether it was there */
  async removeOne(stream: string, seq: number): Promise<boolean> {
    const request = { seq, no_erase: true };
    const { value, failure } = await this.api.ask<{ success: boolean }>(
      `STREAM.MSG.DELETE.${stream}`,
      request,
    );
    if (failure === undefined) return value.success;
    // The server has no code of its own for what is not there.
    if ((await this.api.at(stream, seq)) === undefined) return false;
    throw apiError(`stream ${stream}`, failure);
  }

  async #mark(topic: string, create: boolean): Promise<void> {
    await this.ensure(topic);
    const { generation } = this;
    const subject = this.names.topicMark(topic);
    if (create) {
      const body = JSON.stringify(this.link.host.topic(topic).retention);
      const { failure } = await this.#storeIfMissing(subject, body);
      if (failure !== undefined && failure.err_code !== CODES.wrongLastSequence) {
        if (failure.err_code === CODES.unheard) await this.verify(topic);
        throw apiError(`topic "${topic}"`, failure);
      }
    } else if (
      this.link.host.provision !== 'none' &&
      (await this.api.last(this.own, subject)) === undefined
    ) {
      throw missing(`topic "${topic}"`, topic);
    }
    if (generation === this.generation) this.#known.add(topic);
  }

  /** While somebody else makes it, it is not known whether that will do. */
  async #storeIfMissing(subject: string, body: string): ReturnType<Api['store']> {
    const end = Date.now() + IN_PROCESS;
    for (;;) {
      const answer = await this.api.store(subject, body, IF_MISSING);
      if (answer.failure?.err_code !== CODES.subjectInProcess || Date.now() > end) return answer;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN).unref());
    }
  }

  async #verify(what: string): Promise<boolean> {
    const before = await this.streams.verify(what);
    if (before === 'there') return false;
    const isLost = before === 'lost';
    if (isLost) this.generation++;
    this.#known.clear();
    this.#told.clear();
    this.#kept.clear();
    this.link.host.warning('the NATS server has lost its state: its stream and groups were made anew', {
      stream: isLost ? this.stream : this.own,
    });
    for (const listener of [...this.onLost]) listener();
    return isLost;
  }
}
