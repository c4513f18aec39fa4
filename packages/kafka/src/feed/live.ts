import {
  type BrokerSubscription,
  type BusError,
  ClosedError,
  type Delivery,
  type Sink,
  type Source,
  UnsupportedError,
} from '@ambus/core';
import { offsetsAt, type Place } from '../group/positions.ts';
import type { Hub, Listener } from '../hub.ts';
import type { Emptied } from '../news.ts';
import { LogReader } from '../read/reader.ts';
import { isLiteral } from '../topics/match.ts';
import { Feed, type FeedHost } from './feed.ts';
import { Ledger } from './ledger.ts';
import { Part } from './part.ts';
import { ensureSource, restoreSource, type SourceTopic, sourceTopics } from './topics.ts';

const NONE: readonly Delivery[] = Object.freeze([]);

/** A subscription without a group: it reads all partitions by itself, and leaves nothing on the server. */
export class LiveSubscription implements BrokerSubscription, FeedHost, Listener {
  readonly #hub: Hub;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #reader: LogReader;
  readonly #feed: Feed;
  readonly #since: number;
  /** Parts whose topic is missed: the same one may come back. */
  readonly #away = new Set<Part>();
  #started = false;
  #closed = false;

  constructor(hub: Hub, source: Source, sink: Sink) {
    this.#hub = hub;
    this.#source = source;
    this.#sink = sink;
    this.#reader = new LogReader(hub.cluster, hub.catalog, { ...hub.settings, minBytes: 1 });
    this.#feed = new Feed(source, sink, this, this.#reader, hub.settings, hub.host.deduplicationWindow);
    this.#since = source.from === 'earliest' ? 0 : source.from === 'new' ? Date.now() : source.from.getTime();
  }

  get open(): boolean {
    return !this.#closed;
  }

  async start(): Promise<void> {
    try {
      await Promise.all([
        this.#hub.listen(this, !isLiteral(this.#source.pattern)),
        ensureSource(this.#hub, this.#source),
      ]);
      const topics = await sourceTopics(this.#hub, this.#source, true);
      await this.#add(topics, true);
      if (this.#closed) throw new ClosedError('the subscription is closed', { broker: 'kafka' });
      this.#started = true;
      // Those that appeared meanwhile.
      this.topicsAppeared();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  topicsAppeared(): void {
    if (this.#closed || !this.#started) return;
    sourceTopics(this.#hub, this.#source, false).then(
      (topics) => this.#add(topics, false),
      () => {},
    );
  }

  groupDeleted(): void {}

  emptied(places: readonly Emptied[]): void {
    this.#feed.emptied(places);
  }

  recreated(topic: string): void {
    const parts = [...this.#feed.parts.values()].filter((part) => part.topic === topic);
    this.#feed.lose(parts.filter((part) => !this.#end(part)));
    if (parts.length > 0) this.topicsAppeared();
  }

  lostState(): void {
    restoreSource(this.#hub, this.#source).then(
      () => this.topicsAppeared(),
      () => {},
    );
  }

  async restored(): Promise<void> {}

  handing(): undefined {}

  lent(): boolean {
    return false;
  }

  changed(): void {}

  restarted(part: Part, start: number): void {
    part.ledger.raise(start);
  }

  unreadable({ topic, partition }: Place, offset: number, error: unknown): void {
    this.#hub.host.warning('a record cannot be read, and is left out', { topic, partition, offset, error });
  }

  gone(part: Part, error: BusError): void {
    if (error.retryable && this.#hub.catalog.seen(part.topic)) {
      this.#feed.rest(part);
      this.#away.add(part);
    } else this.#feed.remove(part);
    if (error.retryable) this.#hub.lostTopic(part.topic);
    else this.#sink.failed(error);
  }

  /** Ends a part whose topic was missed; false where it was not. */
  #end(part: Part): boolean {
    if (!this.#away.delete(part)) return false;
    this.#feed.remove(part);
    return true;
  }

  /** Goes on with what was missed and has come back. What is there under its name now may be another topic. */
  #goOn(): void {
    for (const part of this.#away) {
      const known = this.#hub.catalog.known(part.topic);
      if (known === undefined) continue;
      if (known.id !== part.options.topicId) this.#end(part);
      else if (this.#away.delete(part)) this.#feed.add(part);
    }
  }

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    this.#feed.settle(deliveries);
    return NONE;
  }

  async nack(): Promise<readonly Delivery[]> {
    throw new UnsupportedError('nack needs a group on a durable topic', { broker: 'kafka' });
  }

  async release(): Promise<void> {
    throw new UnsupportedError('release needs a group on a durable topic', { broker: 'kafka' });
  }

  async pause(): Promise<void> {
    this.#feed.pause();
  }

  resume(): void {
    this.#feed.resume();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub.unlisten(this, !isLiteral(this.#source.pattern));
    this.#feed.close();
    this.#reader.close();
  }

  /** @param existed - whether they were there when the subscription began: others are read from their start */
  async #add(topics: readonly SourceTopic[], existed: boolean): Promise<void> {
    this.#goOn();
    const places = topics.flatMap(({ name, partitions, kind, busTopic, exact }) =>
      Array.from({ length: partitions }, (_, partition) => ({
        topic: name,
        partition,
        kind,
        busTopic,
        exact,
      })),
    );
    const added = places.filter(({ topic, partition }) => !this.#feed.parts.has(`${topic}/${partition}`));
    const { from } = this.#source;
    // What is delayed lies where it was published, perhaps long ago.
    const asked = existed && from !== 'earliest' ? added.filter(({ kind }) => kind !== 'd') : [];
    const { cluster, catalog } = this.#hub;
    const offsets = asked.length === 0 ? [] : await offsetsAt(cluster, catalog, asked, from);
    const starts = new Map(offsets.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
    for (const { topic, partition, kind, busTopic, exact } of added) {
      if (this.#closed || this.#feed.parts.has(`${topic}/${partition}`)) continue;
      const start = starts.get(`${topic}/${partition}`) ?? 0;
      const ledger = new Ledger(start);
      const options = {
        topic,
        topicId: catalog.known(topic)?.id,
        partition,
        kind,
        slot: 0,
        ledger,
        start,
        busTopic,
        exact,
        notDueBefore: this.#since,
      };
      this.#feed.add(new Part(options, this.#feed));
    }
  }
}
