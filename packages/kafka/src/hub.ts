import { type BrokerHost, BusError, ClosedError, ConfigError, ConnectionError } from '@ambus/core';
import { Cluster, wait } from './driver/cluster.ts';
import { writeHeaders } from './driver/records.ts';
import type { Receipt, Return } from './group/loans.ts';
import { type Kind, Names, type Place } from './names.ts';
import type { Settings } from './options.ts';
import { PublishCall } from './publish/call.ts';
import { Publisher } from './publish/publisher.ts';
import { SideReader } from './read/side-reader.ts';
import { Catalog, type KafkaTopic } from './topics/catalog.ts';
import { newTopic, optionsOf, ownTopic, SHORT_LIVED } from './topics/config.ts';

/** What hears of topics that appear, and of the connection. */
export interface Listener {
  /** There may be topics that it does not know yet. */
  topicsAppeared(): void;
  /** A group was deleted. */
  groupDeleted(group: string): void;
  /** A member says what became of a record of a partition that it does not own any more. */
  returned?(back: Return): void;
  /** The owner has heard it. */
  receipt?(receipt: Receipt): void;
  /** A topic was deleted and made again: what is known of its positions counts no more. */
  recreated(topic: string): void;
  /** Topics are gone that nobody here deleted. */
  lostState(): void;
  /** The connection is back; resolves when it stands again. */
  restored(): Promise<unknown>;
}

/** An announcement to all buses of the prefix. */
interface News {
  readonly topics?: readonly string[];
  readonly group?: string;
  readonly back?: Return;
  readonly receipt?: Receipt;
}

/** Milliseconds between looks for topics that others than buses create. */
const LOOK = 1_000;
/** Milliseconds between signs of life asked of the server, so that a silent connection is noticed. */
const PING = 2_000;
const BACKOFF = 50;
const LONGEST_BACKOFF = 1_000;
/** Milliseconds that the parts of a bus may take to stand again before the bus says that it does. */
const RESTORE = 5_000;
/** Milliseconds in which consumers hear of a new topic and begin to read it. */
const HEARD = 100;
/** Milliseconds within which topics that go count as one loss. */
const ONE_LOSS = 10_000;
/** Partitions of the topic that all replies of a prefix share: each bus reads one of them, and its answers in it. */
const REPLY_PARTITIONS = 6;
/** Topics whose names are remembered. */
const MOST_BASES = 10_000;

/** One bus's connection to Kafka, and what its parts share. */
export class Hub {
  readonly host: BrokerHost;
  readonly settings: Settings;
  readonly names: Names;
  readonly cluster: Cluster;
  readonly catalog: Catalog;
  readonly publisher: Publisher;
  readonly listeners: Set<Listener> = new Set();
  readonly side: SideReader;
  /** Which bases a topic option maps, as far as this bus has seen them. */
  readonly shared: Set<string> = new Set();
  readonly #making = new Set<string>();
  readonly #bases = new Map<string, string>();
  /** The last publish that waits for a topic to be found or made: the next one waits behind it. */
  readonly queued: Map<string, Promise<void>> = new Map();
  #lostAt = 0;
  #up = false;
  #closed = false;
  #ping: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #listening: Promise<void> | undefined;
  #patterns = 0;

  constructor(settings: Settings, host: BrokerHost) {
    this.settings = settings;
    this.host = host;
    this.names = new Names(host.prefix);
    this.cluster = new Cluster(settings.client(host.source), (error) => this.#broken(error));
    this.catalog = new Catalog(this.cluster);
    this.publisher = new Publisher(this.cluster, this.catalog, settings);
    this.side = new SideReader(this);
    this.publisher.missing = (topic, name) => {
      if (!this.creates || this.#making.has(topic)) return;
      this.#making.add(topic);
      const kind = this.parse(topic)?.kind;
      const made = kind === undefined ? this.#makeOwn(topic) : this.topic(name, kind);
      made.catch(() => {}).finally(() => this.#making.delete(topic));
    };
    this.catalog.recreated = (topic) => {
      for (const listener of this.listeners) listener.recreated(topic);
    };
    this.catalog.created = (topics) => {
      for (const listener of this.listeners) listener.topicsAppeared();
      void this.announce({ topics }).catch(() => {});
    };
  }

  get creates(): boolean {
    return this.host.provision === 'create';
  }

  async connect(): Promise<void> {
    const { connectTimeout } = this.host;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new ConnectionError(`no Kafka server answered within ${connectTimeout} ms`, { broker: 'kafka' }),
          ),
        connectTimeout,
      );
    });
    try {
      await Promise.race([this.cluster.metadata([]), late]);
    } catch (error) {
      this.cluster.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    this.#up = true;
    this.#ping = setInterval(() => this.#lookAlive(), PING).unref();
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

  /** A topic is gone. Made again where that may be, with one warning for all that go at the same time. */
  lostTopic(name: string): void {
    this.catalog.forget(name);
    if (!this.creates || this.#closed) return;
    if (Date.now() - this.#lostAt > ONE_LOSS) {
      this.host.warning('topics are gone from the server; they are made again', { topic: name });
      for (const listener of this.listeners) listener.lostState();
    }
    this.#lostAt = Date.now();
  }

  /** The name on the server of a part of a topic. */
  place(topic: string, kind: Kind): string {
    let base = this.#bases.get(topic);
    if (base === undefined) {
      const { kafkaTopic } = optionsOf(this.host.topic(topic));
      if (kafkaTopic !== undefined) this.shared.add(kafkaTopic);
      base = kafkaTopic ?? this.names.base(topic);
      if (this.#bases.size >= MOST_BASES) this.#bases.clear();
      this.#bases.set(topic, base);
    }
    return this.names.place(base, kind);
  }

  /** What a topic on the server is, shared ones that this bus has heard of included. */
  parse(name: string): Place | undefined {
    for (const base of this.shared) {
      if (name === base) return { base, kind: 'main', topic: undefined };
      if (name.startsWith(`${base}.-`))
        return { base, kind: name.slice(base.length + 2) as Kind, topic: undefined };
    }
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

  /** Hears of new topics from now on: at once from other buses, in a second from others. */
  async listen(listener: Listener, patterns: boolean): Promise<void> {
    this.listeners.add(listener);
    if (patterns) this.#patterns++;
    this.#watch ??= setInterval(() => this.#look(), LOOK).unref();
    this.#listening ??= this.#hear();
    try {
      await this.#listening;
    } catch (error) {
      this.#listening = undefined;
      if (this.host.provision !== 'none') throw error;
    }
  }

  unlisten(listener: Listener, patterns: boolean): void {
    if (!this.listeners.delete(listener)) return;
    if (patterns) this.#patterns--;
    if (this.listeners.size === 0) {
      clearInterval(this.#watch);
      this.#watch = undefined;
    }
  }

  async announce(news: News): Promise<void> {
    const { name } = await this.control();
    const call = new PublishCall(1, Date.now() + this.settings.requestTimeout);
    const record = {
      key: null,
      value: Buffer.from(JSON.stringify({ ...news, bus: this.host.busId })),
      headers: NO_HEADERS,
      timestamp: Date.now(),
    };
    this.publisher.add(name, 0, name, record, call, 0);
    this.publisher.flush();
    await call.promise;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
    clearInterval(this.#watch);
    const error = new ClosedError('the broker is closed', { broker: 'kafka' });
    this.publisher.close(error);
    this.side.close();
    this.cluster.close();
  }

  #makeOwn(topic: string): Promise<unknown> {
    if (topic === this.names.replies) return this.replies();
    return topic === this.names.control ? this.control() : Promise.resolve();
  }

  async #hear(): Promise<void> {
    const { name } = await this.control();
    await this.side.add(name, 0, (records) => {
      for (const { value } of records) this.#heard(value);
    });
  }

  #heard(value: Buffer | null): void {
    let news: (News & { bus?: string }) | undefined;
    try {
      news = JSON.parse(String(value)) as News;
    } catch {
      return;
    }
    if (news.topics !== undefined && news.bus !== this.host.busId) {
      void this.catalog
        .find(news.topics)
        .then(() => {
          for (const listener of this.listeners) listener.topicsAppeared();
        })
        .catch(() => {});
    }
    if (news.back !== undefined) for (const listener of this.listeners) listener.returned?.(news.back);
    if (news.receipt !== undefined) for (const listener of this.listeners) listener.receipt?.(news.receipt);
    if (news.group !== undefined) for (const listener of this.listeners) listener.groupDeleted(news.group);
  }

  #look(): void {
    if (!this.#up || this.#closed) return;
    if (this.#patterns > 0) {
      this.catalog.refreshAll().then(
        () => {
          for (const listener of this.listeners) listener.topicsAppeared();
        },
        () => {},
      );
    } else {
      for (const listener of this.listeners) listener.topicsAppeared();
    }
  }

  #lookAlive(): void {
    if (this.#up) this.cluster.metadata([]).catch((error: unknown) => this.#broken(error as BusError));
  }

  #broken(error: BusError): void {
    if (!this.#up || this.#closed) return;
    this.#up = false;
    this.host.disconnected(error);
    void this.#heal();
  }

  async #heal(): Promise<void> {
    for (let failures = 0; !this.#closed; failures++) {
      await wait(Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** failures) * (0.5 + Math.random() / 2));
      try {
        this.cluster.drop();
        await this.cluster.metadata([], this.settings.requestTimeout);
        break;
      } catch (error) {
        if (BusError.is(error) && ConfigError.is(error)) return;
      }
    }
    if (this.#closed) return;
    this.#up = true;
    const restored = Promise.allSettled(Array.from(this.listeners, (listener) => listener.restored()));
    await Promise.race([restored, wait(RESTORE)]);
    if (!this.#closed && this.#up) this.host.reconnected();
  }
}

const NO_HEADERS = writeHeaders([]);
