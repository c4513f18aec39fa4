import { writeHeaders } from './driver/records.ts';
import type { Receipt, Return } from './group/loans.ts';
import type { Place } from './group/positions.ts';
import type { Hub } from './hub.ts';
import { PublishCall } from './publish/call.ts';

/** A partition of a topic that was emptied, and behind the last of what was removed. */
export interface Emptied extends Place {
  readonly before: number;
}

/** What hears of topics that appear, and of the connection. */
export interface Listener {
  /** There may be topics or partitions that it does not know yet. */
  topicsAppeared(): void;
  /** A group was deleted. */
  groupDeleted(group: string): void;
  /** A member says what became of a record of a partition that it does not own any more. */
  returned?(back: Return): void;
  /** The owner has heard it. */
  receipt?(receipt: Receipt): void;
  emptied(places: readonly Emptied[]): void;
  /** A topic was deleted and made again: what is known of its positions counts no more. */
  recreated(topic: string): void;
  /** Topics are gone that nobody here deleted. */
  lostState(): void;
  /** The connection is back; resolves when it stands again. */
  restored(): Promise<unknown>;
}

/** An announcement to all buses of the prefix. */
export interface Announcement {
  /** Kafka topics that were created, and that were deleted on purpose. */
  readonly topics?: readonly string[];
  readonly deleted?: readonly string[];
  readonly emptied?: readonly Emptied[];
  readonly group?: string;
  readonly back?: Return;
  readonly receipt?: Receipt;
}

/** Milliseconds between looks for topics and partitions that others than buses create. */
const LOOK = 1_000;

/** Tells other buses, and hears from them and from the server what has changed. */
export class News {
  readonly listeners: Set<Listener> = new Set();
  readonly #hub: Hub;
  #watch: NodeJS.Timeout | undefined;
  #hearing: Promise<void> | undefined;
  #patterns = 0;

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  /** Hears of new topics from now on: at once from other buses, in a second from others. */
  async listen(listener: Listener, patterns: boolean): Promise<void> {
    this.listeners.add(listener);
    if (patterns) this.#patterns++;
    this.#watch ??= setInterval(() => this.#look(), LOOK).unref();
    this.#hearing ??= this.#hear();
    try {
      await this.#hearing;
    } catch (error) {
      this.#hearing = undefined;
      if (this.#hub.host.provision !== 'none') throw error;
    }
  }

  unlisten(listener: Listener, patterns: boolean): void {
    if (!this.listeners.delete(listener)) return;
    if (patterns) this.#patterns--;
    if (this.listeners.size > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  async announce(news: Announcement): Promise<void> {
    const { host, publisher, settings } = this.#hub;
    const { name } = await this.#hub.control();
    const call = new PublishCall(1, Date.now() + settings.requestTimeout);
    const record = {
      key: null,
      value: Buffer.from(JSON.stringify({ ...news, bus: host.busId })),
      headers: NO_HEADERS,
      timestamp: Date.now(),
    };
    publisher.add(name, 0, name, record, call, 0);
    publisher.flush();
    await call.promise;
  }

  topicsAppeared(): void {
    for (const listener of this.listeners) listener.topicsAppeared();
  }

  close(): void {
    clearInterval(this.#watch);
  }

  async #hear(): Promise<void> {
    const { name } = await this.#hub.control();
    await this.#hub.side.add(name, 0, (records) => {
      for (const { value } of records) this.#heard(value);
    });
  }

  #heard(value: Buffer | null): void {
    let news: (Announcement & { bus?: string }) | undefined;
    try {
      news = JSON.parse(String(value)) as Announcement;
    } catch {
      return;
    }
    const { catalog, host } = this.#hub;
    if (news.bus !== host.busId) {
      for (const name of news.deleted ?? []) catalog.deleted(name);
      if (news.topics !== undefined) {
        catalog.find(news.topics).then(
          () => this.topicsAppeared(),
          () => {},
        );
      }
    }
    const { back, receipt, group, emptied } = news;
    for (const listener of this.listeners) {
      if (back !== undefined) listener.returned?.(back);
      if (receipt !== undefined) listener.receipt?.(receipt);
      if (group !== undefined) listener.groupDeleted(group);
      if (emptied !== undefined) listener.emptied(emptied);
    }
  }

  /** One request: for all topics where there are patterns, else for those that the listeners ask for as they hear this. */
  #look(): void {
    if (!this.#hub.up) return;
    if (this.#patterns === 0) {
      this.#hub.catalog.expire();
      this.topicsAppeared();
    } else {
      this.#hub.catalog.refreshAll().then(
        () => this.topicsAppeared(),
        () => {},
      );
    }
  }
}

const NO_HEADERS = writeHeaders([]);
