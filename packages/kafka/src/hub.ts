import { type BrokerHost, BusError, ClosedError, ConnectionError } from '@ambus/core';
import { Cluster, wait } from './driver/cluster.ts';
import { Health } from './health.ts';
import { type Kind, Names, type Place } from './names.ts';
import { type Announcement, type Listener, News } from './news.ts';
import type { Settings } from './options.ts';
import { Publisher } from './publish/publisher.ts';
import { SideReader } from './read/side-reader.ts';
import { Catalog, type KafkaTopic } from './topics/catalog.ts';
import { newTopic, optionsOf, ownTopic, SHORT_LIVED } from './topics/config.ts';
import type { MappedTopics } from './topics/shared.ts';

export type { Listener } from './news.ts';

/** Milliseconds in which consumers hear of a new topic and begin to read it. */
const HEARD = 100;
/** Milliseconds within which topics that go count as one loss. */
const ONE_LOSS = 10_000;
/** Partitions of the topic that all replies of a prefix share: each bus reads one of them, and its answers in it. */
const REPLY_PARTITIONS = 6;
/** Milliseconds between looks for partitions that were added to what is published to: all publishers of a key must agree. */
const PARTITIONS = 30_000;
/** Topics whose names are remembered. */
const MOST_BASES = 10_000;

/** One bus's connection to Kafka, and what its parts share. */
export class Hub {
  readonly #ended = Promise.withResolvers<never>();
  readonly host: BrokerHost;
  readonly settings: Settings;
  readonly names: Names;
  readonly cluster: Cluster;
  readonly catalog: Catalog;
  readonly publisher: Publisher;
  readonly side: SideReader;
  /** Which Kafka topics several topics share. */
  readonly shared: MappedTopics;
  /** The last publish that waits for a topic to be found or made: the next one waits behind it. */
  readonly queued: Map<string, Promise<void>> = new Map();
  readonly #making = new Set<string>();
  readonly #bases = new Map<string, string>();
  readonly #health: Health;
  readonly #news: News;
  #look: NodeJS.Timeout | undefined;
  #lostAt = 0;
  #warnedAt = 0;
  #closed = false;

  /** @throws {ConfigError} for a topic option that is not allowed */
  constructor(settings: Settings, host: BrokerHost) {
    // Few wait for it.
    this.#ended.promise.catch(() => {});
    this.settings = settings;
    this.host = host;
    this.names = new Names(host.prefix);
    this.shared = this.names.mapped;
    this.shared.learn(host.topicRules);
    this.cluster = new Cluster(settings.client(host.source), (error) => this.#health.broken(error));
    this.catalog = new Catalog(this.cluster);
    this.publisher = new Publisher(this.cluster, this.catalog, settings);
    this.side = new SideReader(this);
    this.#news = new News(this);
    this.#health = new Health(this.cluster, settings.requestTimeout, {
      disconnected: (error) => host.disconnected(error),
      restored: () => Promise.allSettled(Array.from(this.listeners, (listener) => listener.restored())),
      reconnected: () => host.reconnected(),
    });
    this.publisher.missing = (topic, name) => this.#missing(topic, name);
    this.catalog.recreated = (topic) => {
      this.#warn(topic);
      this.side.recreated(topic);
      for (const listener of this.listeners) listener.recreated(topic);
    };
    this.catalog.created = (topics) => {
      this.#news.topicsAppeared();
      void this.announce({ topics }).catch(() => {});
    };
  }

  get creates(): boolean {
    return this.host.provision === 'create';
  }

  get up(): boolean {
    return this.#health.up;
  }

  get listeners(): ReadonlySet<Listener> {
    return this.#news.listeners;
  }

  connect(): Promise<void> {
    this.#look = setInterval(() => {
      if (this.up) this.catalog.refreshUsed().catch(() => {});
    }, PARTITIONS).unref();
    return this.#health.connect(this.host.connectTimeout);
  }

  /** The Kafka topic that is to hold these records, created where it may be. */
  async topic(topic: string, kind: Kind): Promise<KafkaTopic> {
    const name = this.place(topic, kind);
    const known = this.catalog.known(name);
    if (known !== undefined) return known;
    if (this.creates) {
      const [there] = await this.catalog.find([name]);
      if (there !== undefined) return there;
      const made = await this.catalog.ensure(newTopic(name, kind, this.host.topic(topic), this.settings));
      // An urgent message must not come before those who are to hurry with it know of its place.
      if (kind.startsWith('p')) await wait(HEARD);
      return made;
    }
    if (!kind.startsWith('p')) return this.catalog.expect(name, `topic "${topic}"`);
    // Where nobody may create one, a rank of its own gives way to the topic itself.
    const [found] = await this.catalog.find([name]);
    return found ?? this.catalog.expect(this.place(topic, 'main'), `topic "${topic}"`);
  }

  /** Creates a topic that is asked for by name, whatever `provision` says. */
  async ensure(topic: string): Promise<void> {
    await this.catalog.ensure(
      newTopic(this.place(topic, 'main'), 'main', this.host.topic(topic), this.settings),
    );
  }

  /**
   * A topic is gone. Made again where that may be, with one warning for all that go at the same time; one that was deleted
   * on purpose is left to who publishes or subscribes.
   */
  lostTopic(name: string): void {
    if (this.creates) this.#warn(name);
    this.catalog.forget(name);
    if (!this.creates || this.#closed || !this.catalog.seen(name)) return;
    if (Date.now() - this.#lostAt > ONE_LOSS) void this.#lostState();
    this.#lostAt = Date.now();
  }

  /** The name on the server of a part of a topic. */
  place(topic: string, kind: Kind): string {
    let base = this.#bases.get(topic);
    if (base === undefined) {
      const { kafkaTopic } = optionsOf(this.host.topic(topic));
      // Of a topic that was declared later.
      if (kafkaTopic !== undefined && !this.shared.mapped(kafkaTopic))
        this.shared.learn(this.host.topicRules);
      base = kafkaTopic ?? this.names.base(topic);
      if (this.#bases.size >= MOST_BASES) this.#bases.clear();
      this.#bases.set(topic, base);
    }
    return this.names.place(base, kind);
  }

  /** Whether a topic lies on a Kafka topic together with others. */
  shares(topic: string): boolean {
    return this.shared.has(this.place(topic, 'main'));
  }

  /** What a topic on the server is, shared ones included. */
  parse(name: string): Place | undefined {
    return this.names.parse(name);
  }

  /** The topic by which buses tell each other. */
  control(): Promise<KafkaTopic> {
    return this.own(this.names.control, 1);
  }

  replies(): Promise<KafkaTopic> {
    return this.own(this.names.replies, REPLY_PARTITIONS);
  }

  async own(
    name: string,
    partitions: number,
    config: Readonly<Record<string, string>> = SHORT_LIVED,
  ): Promise<KafkaTopic> {
    if (this.creates) return this.catalog.ensure(ownTopic(name, partitions, this.settings, config));
    return this.catalog.expect(name, `the bus's own topic`);
  }

  /**
   * One of the two that every bus knows, made again as it was.
   *
   * @param partitions - how many it must have: one that somebody else has made smaller grows
   */
  async ownAgain(name: string, partitions: number): Promise<void> {
    const topic = await (name === this.names.replies ? this.replies() : this.control());
    if (topic.leaders.length >= partitions) return;
    if (!this.creates) {
      await this.catalog.refresh([name]);
      throw new ConnectionError(`Kafka topic "${name}" has too few partitions`, { broker: 'kafka' });
    }
    await this.catalog.grow(name, name === this.names.replies ? REPLY_PARTITIONS : 1);
  }

  /** Hears of new topics from now on: at once from other buses, in a second from others. */
  listen(listener: Listener, patterns: boolean): Promise<void> {
    return this.#news.listen(listener, patterns);
  }

  unlisten(listener: Listener, patterns: boolean): void {
    this.#news.unlisten(listener, patterns);
  }

  announce(news: Announcement): Promise<void> {
    return this.#news.announce(news);
  }

  /** Rejects with a `ClosedError` when it is closed. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#look);
    this.#health.close();
    this.#news.close();
    const error = new ClosedError('the broker is closed', { broker: 'kafka' });
    this.publisher.close(error);
    this.#ended.reject(error);
    this.side.close();
    this.cluster.close();
  }

  /** A topic that is published to is not there. Returns whether it is being made. */
  #missing(topic: string, name: string): boolean {
    if (!this.creates || this.#closed) return false;
    if (this.#making.has(topic)) return true;
    const kind = this.parse(topic)?.kind;
    const own = topic === this.names.replies || topic === this.names.control;
    if (this.catalog.seen(topic)) this.lostTopic(topic);
    if (kind === undefined && !own) return false;
    this.#making.add(topic);
    (kind === undefined ? this.ownAgain(topic, 1) : this.topic(name, kind))
      .catch((error: unknown) => {
        if (BusError.is(error) && !error.retryable) this.publisher.refuse(topic, error);
      })
      .finally(() => this.#making.delete(topic));
    return true;
  }

  /** Once for all that go at the same time; not for what was deleted on purpose. */
  #warn(topic: string): void {
    if (this.#closed || !this.catalog.seen(topic)) return;
    if (Date.now() - this.#warnedAt > ONE_LOSS)
      this.host.warning('topics are gone from the server; they are made again', { topic });
    this.#warnedAt = Date.now();
  }

  /** Most of what this bus knows may be gone as well. */
  async #lostState(): Promise<void> {
    await this.catalog.refreshKnown().catch(() => {});
    if (!this.#closed) for (const listener of this.listeners) listener.lostState();
  }
}
