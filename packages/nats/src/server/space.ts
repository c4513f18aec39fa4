import { ConfigError, type TopicConfig } from '@ambus/core';
import { Delays } from '../consume/delays.ts';
import type { Link } from '../link/link.ts';
import { Names } from '../names.ts';
import { Api, apiError, CODES } from './api.ts';
import { News } from './news.ts';
import { Trimmer } from './retention.ts';

/** What JetStream says of a stream. */
export interface StreamInfo {
  readonly config: Readonly<Record<string, unknown>> & { readonly duplicate_window?: number };
  readonly created: string;
  readonly state: {
    readonly messages: number;
    readonly first_seq: number;
    readonly last_seq: number;
    /** With `subjects_filter`: how many messages each has. */
    readonly subjects?: Readonly<Record<string, number>>;
  };
}

export const NANOSECONDS = 1_000_000;

/** Milliseconds that somebody else's store may take in a cluster, and between two looks at it. */
const IN_PROCESS = 10_000;
const LOOK_AGAIN = 20;

/** Stores only what is not there yet. */
const IF_MISSING = 'Nats-Expected-Last-Subject-Sequence: 0\r\n';

/** The stream that holds one prefix's durable topics: made where it may be, and looked after. */
export class Space {
  readonly link: Link;
  readonly api: Api;
  readonly names: Names;
  readonly stream: string;
  readonly news: News;
  readonly trimmer: Trimmer;
  readonly delays: Delays;
  /** Grows each time the server turns out to have lost the stream. */
  generation = 0;
  /** Milliseconds that the server remembers deduplication keys. */
  window = 0;
  /** Called when the stream was lost and is there again, empty. */
  readonly onLost: Set<() => void> = new Set();
  readonly #topics = new Map<string, Promise<void>>();
  readonly #known = new Set<string>();
  #created: string | undefined;
  #ensuring: Promise<void> | undefined;
  #verifying: Promise<boolean> | undefined;

  constructor(link: Link) {
    this.link = link;
    this.api = new Api(link);
    this.names = new Names(link.host.prefix);
    this.stream = link.settings.stream.name ?? link.host.prefix;
    this.trimmer = new Trimmer(this);
    this.delays = new Delays(this);
    link.listeners.add(this.trimmer);
    this.news = new News(link, this.names, (topic) => this.#known.delete(topic));
  }

  /** Whether the server itself holds delayed messages. */
  get canSchedule(): boolean {
    const [major = 0, minor = 0] = (this.link.driver.version ?? '').split('.').map(Number);
    return major > 2 || (major === 2 && minor >= 12);
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
    if (this.link.host.provision === 'none') return Promise.resolve();
    this.#ensuring ??= this.#findOrCreate(what).catch((error: unknown) => {
      this.#ensuring = undefined;
      throw error;
    });
    return this.#ensuring;
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
  async subjects(filter: string): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (;;) {
      const request = { subjects_filter: filter, offset: found.size };
      const { value } = await this.api.ask<StreamInfo & { total?: number }>(
        `STREAM.INFO.${this.stream}`,
        request,
      );
      const page = Object.entries(value?.state.subjects ?? {});
      for (const [subject, count] of page) found.set(subject, count);
      if (page.length === 0 || found.size >= (value?.total ?? 0)) return found;
    }
  }

  /** Whether nothing needs to be done before a record of this topic is stored. */
  isKnown(topic: string): boolean {
    return this.#known.has(topic);
  }

  /**
   * The topic exists when it resolves.
   *
   * @throws {ConfigError} naming it when it is missing and may not be created
   */
  ensureTopic(topic: string, create: boolean = this.mayCreate): Promise<void> {
    if (this.link.host.provision === 'none' && !create) {
      this.news.listen();
      this.#known.add(topic);
      return Promise.resolve();
    }
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
    this.#known.delete(topic);
    this.news.tellDeleted(topic);
  }

  retentionOf(topic: string): TopicConfig['retention'] {
    return this.link.host.topic(topic).retention;
  }

  async purge(
    subject: string,
    more: { readonly seq?: number; readonly keep?: number } = {},
  ): Promise<number> {
    const request = { filter: subject, ...more };
    const { value } = await this.api.ask<{ purged: number }>(`STREAM.PURGE.${this.stream}`, request);
    return value?.purged ?? 0;
  }

  async #mark(topic: string, create: boolean): Promise<void> {
    await this.ensure(topic);
    const { generation } = this;
    const subject = this.names.topicMark(topic);
    if (create) {
      const body = JSON.stringify(this.retentionOf(topic));
      const { failure } = await this.#storeIfMissing(subject, body);
      if (failure !== undefined && failure.err_code !== CODES.wrongLastSequence) {
        throw apiError(`topic "${topic}"`, failure);
      }
    } else if ((await this.api.last(this.stream, subject)) === undefined) {
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

  async #findOrCreate(what: string): Promise<void> {
    const { value, failure } = await this.api.ask<StreamInfo>(`STREAM.INFO.${this.stream}`);
    if (value !== undefined) {
      await this.#adopt(value);
      return;
    }
    if (failure.err_code !== CODES.streamNotFound) throw apiError(`stream ${this.stream}`, failure);
    if (!this.mayCreate) throw missing(`stream "${this.stream}", for "${what}",`, what);
    await this.#create();
  }

  /** Remembers what is there, and widens its window where this bus needs a longer one. */
  async #adopt({ config, created }: StreamInfo): Promise<void> {
    this.#created = created;
    const there = config.duplicate_window ?? 0;
    const wanted = this.link.host.deduplicationWindow * NANOSECONDS;
    this.window = there / NANOSECONDS;
    if (wanted <= there || !this.mayCreate) return;
    const { value } = await this.api.ask<StreamInfo>(`STREAM.UPDATE.${this.stream}`, {
      ...config,
      duplicate_window: wanted,
    });
    if (value !== undefined) this.window = wanted / NANOSECONDS;
  }

  async #create(): Promise<void> {
    const { stream } = this.link.settings;
    const window = Math.max(this.link.host.deduplicationWindow, 100);
    const config = {
      name: this.stream,
      description: 'made by ambus',
      subjects: this.names.stored,
      retention: stream.retention ?? 'limits',
      storage: stream.storage ?? 'file',
      num_replicas: stream.replicas ?? 1,
      discard: 'old',
      max_msgs: stream.maxMessages ?? -1,
      max_bytes: stream.maxBytes ?? -1,
      max_age: (stream.maxAge ?? 0) * NANOSECONDS,
      duplicate_window:
        (stream.maxAge === undefined ? window : Math.min(window, stream.maxAge)) * NANOSECONDS,
      allow_direct: true,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      ...(this.canSchedule ? { allow_msg_schedules: true } : {}),
    };
    const { value, failure } = await this.api.ask<StreamInfo>(`STREAM.CREATE.${this.stream}`, config);
    if (value !== undefined) {
      this.#created = value.created;
      this.window = window;
      return;
    }
    // Another bus was quicker, with options of its own.
    if (failure.err_code === CODES.streamNameInUse) return this.#adopt(await this.info());
    throw apiError(`stream ${this.stream}`, failure);
  }

  async #verify(what: string): Promise<boolean> {
    const { value, failure } = await this.api.ask<StreamInfo>(`STREAM.INFO.${this.stream}`);
    if (failure !== undefined && failure.err_code !== CODES.streamNotFound) {
      throw apiError(`stream ${this.stream}`, failure);
    }
    if (value !== undefined && (this.#created === undefined || value.created === this.#created)) return false;
    if (value === undefined) {
      if (!this.mayCreate) throw missing(`stream "${this.stream}"`, what);
      await this.#create();
    } else {
      await this.#adopt(value);
    }
    this.generation++;
    this.#known.clear();
    this.link.host.warning('the NATS server has lost its state: its stream and groups were made anew', {
      stream: this.stream,
    });
    for (const listener of [...this.onLost]) listener();
    return true;
  }
}

export function missing(what: string, topic: string): ConfigError {
  return new ConfigError(`${what} does not exist, and this bus may not create it`, { topic, broker: 'nats' });
}
