import {
  type BrokerSubscription,
  type BusError,
  type BusRecord,
  ClosedError,
  ConfigError,
  type Delivery,
  type Sink,
  type Source,
  UnsupportedError,
} from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import { type Entry, OUT, SETTLED } from '../feed/entry.ts';
import { Feed, type FeedHost } from '../feed/feed.ts';
import type { Part } from '../feed/part.ts';
import { MOST_WAITING } from '../feed/room.ts';
import { ensureSource, restoreSource } from '../feed/topics.ts';
import type { Hub, Listener } from '../hub.ts';
import type { Emptied } from '../news.ts';
import { LogReader } from '../read/reader.ts';
import { isLiteral } from '../topics/match.ts';
import type { Commits } from './accounts.ts';
import { Cleaner } from './cleaner.ts';
import { Committer } from './committer.ts';
import { Loans, type Receipt, type Return } from './loans.ts';
import { GroupMember } from './member.ts';
import { type Place, readMarker } from './positions.ts';
import { moveToRetries } from './retries.ts';
import { Slots } from './slots.ts';
import { newTransactionalId } from './transaction.ts';
import { TransactionalCommitter } from './transactional-committer.ts';

const NONE: readonly Delivery[] = Object.freeze([]);
/** Milliseconds that `subscribe` waits for a place in a group that exists, and for the others to give up its share. */
const ENTRY = 1_500;

/** One member of a group, as core sees it. */
export class GroupSubscription implements BrokerSubscription, FeedHost, Listener {
  readonly id: string;
  readonly #hub: Hub;
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #reader: LogReader;
  readonly #feed: Feed;
  readonly #member: GroupMember;
  readonly #committer: Commits;
  /** The committer, where there are transactions. */
  readonly #transactional: TransactionalCommitter | undefined;
  readonly #slots: Slots;
  readonly #loans: Loans;
  readonly #cleaner: Cleaner;
  #stuckTimer: NodeJS.Timeout | undefined;
  readonly #durable: boolean;
  #paused = false;
  /** What the group was told last. */
  #toldToWant = true;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(hub: Hub, source: Source, sink: Sink) {
    const { cluster, catalog, settings, names } = hub;
    this.#hub = hub;
    this.#source = source;
    this.#sink = sink;
    this.#durable = source.channel === 'durable';
    this.id = names.group(source.group!, source.pattern, source.channel);
    this.#reader = new LogReader(cluster, catalog, { ...settings, minBytes: 1 });
    this.#feed = new Feed(source, sink, this, this.#reader, settings, hub.host.deduplicationWindow);
    const transaction = source.transaction === true ? newTransactionalId(hub, this.id) : undefined;
    this.#slots = new Slots(hub, source, this.id, this.#feed, {
      commit: () => this.#committer.commit(),
      rejoin: () => this.#member.rejoin(),
      membership: () => this.#member.membership,
      wants: () => {
        this.#toldToWant = !this.#paused && !this.#closed;
        return this.#toldToWant;
      },
      membersAre: (members, assignment) => {
        this.#loans.membersAre(members);
        this.#transactional?.membersAre(assignment);
      },
      // An ack that reaches another member by way of the log cannot be in one.
      transaction,
    });
    this.#loans = new Loans(hub, this.id, this.#feed, () => this.#committer.commit());
    this.#cleaner = new Cleaner(
      hub,
      () => this.#feed.parts.values(),
      () => this.#committer.commit(),
    );
    this.#member = new GroupMember(this.id, cluster, settings, {
      state: () => this.#slots.state(),
      topics: () => this.#slots.topics(),
      slots: (members) => this.#slots.lead(members),
      assigned: (assignment) => this.#slots.assigned(assignment),
      lost: () => this.#lost(),
      failed: (error) => this.#fail(error),
    });
    const parts = (): Iterable<Part> => this.#feed.parts.values();
    this.#transactional =
      transaction === undefined
        ? undefined
        : new TransactionalCommitter(hub, this.#member, transaction, parts, (error) => this.#giveUp(error));
    this.#committer = this.#transactional ?? new Committer(hub, this.#member, parts);
  }

  get open(): boolean {
    return !this.#closed && this.#member.membership !== undefined;
  }

  async start(): Promise<void> {
    const { host, names, settings } = this.#hub;
    if (settings.groupInstanceId !== null && this.#isTwin()) {
      throw new ConfigError(
        `groupInstanceId "${settings.groupInstanceId}" is in use: this bus has a subscription of group "${this.#source.group}" on "${this.#source.pattern}"`,
        { broker: 'kafka' },
      );
    }
    try {
      await Promise.all([
        this.#hub.listen(this, !isLiteral(this.#source.pattern)),
        ensureSource(this.#hub, this.#source),
        this.#transactional?.start(),
      ]);
      const marker = this.#durable ? await readMarker(this.#hub.cluster, this.id, names.control) : undefined;
      if (host.provision === 'check' && this.#durable && marker === undefined) throw missing(this.#source);
      if (this.#closed) throw isClosed();
      this.#member.start();
      this.#cleaner.start();
      this.#stuckTimer = setInterval(() => this.#lookStuck(), LOOK_STUCK).unref();
      // A group that exists keeps what is published; a dead member may hold up this one's entry until its session ends.
      if (marker === undefined) await this.#slots.ready;
      else await Promise.race([this.#slots.ready, wait(ENTRY)]);
      const deadline = Date.now() + ENTRY;
      while (this.#slots.pending && !this.#closed && Date.now() < deadline) await wait(10);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #isTwin(): boolean {
    for (const one of this.#hub.listeners)
      if (one instanceof GroupSubscription && one.id === this.id) return true;
    return false;
  }

  topicsAppeared(): void {
    if (!this.#closed) this.#slots.topicsAppeared();
  }

  groupDeleted(group: string): void {
    if (group !== this.id || this.#closed) return;
    this.#fail(new ConfigError(`the group "${this.#source.group}" was deleted`, { broker: 'kafka' }));
    void this.close();
  }

  emptied(places: readonly Emptied[]): void {
    this.#feed.emptied(places);
  }

  recreated(topic: string): void {
    const parts = [...this.#feed.parts.values()].filter((part) => part.topic === topic);
    this.#feed.lose(parts);
    this.#slots.settled();
    if (parts.length > 0 || topic === this.#hub.names.control) this.#member.rejoin();
  }

  lostState(): void {
    if (this.#closed) return;
    Promise.all([this.#hub.control(), restoreSource(this.#hub, this.#source)]).then(
      () => this.#member.rejoin(),
      () => {},
    );
  }

  returned(back: Return): void {
    void this.#loans.heard(back);
  }

  receipt(receipt: Receipt): void {
    this.#loans.receipt(receipt);
  }

  lent(holder: string): boolean {
    return this.#slots.members.has(holder);
  }

  async restored(): Promise<void> {
    while (!this.#closed && !this.#member.stable) await wait(20);
  }

  /** The note that a message is handed out is on the server before its handler sees it: no crash makes it forget one. */
  handing(): Promise<unknown> | undefined {
    return this.#durable ? this.#committer.commitAtOnce() : undefined;
  }

  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#committer.touch();
    }, SOON).unref();
  }

  restarted(part: Part): void {
    this.#slots.restarted(part);
  }

  unreadable({ topic, partition }: Place, offset: number, error: unknown): void {
    this.#hub.host.warning('a record cannot be read, and is left out', { topic, partition, offset, error });
  }

  gone(part: Part, error: BusError): void {
    this.#feed.lose([part]);
    this.#slots.settled();
    if (error.retryable) this.#hub.lostTopic(part.topic);
    if (!error.retryable) this.#fail(error);
  }

  async ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    const away = this.#away(deliveries);
    this.#transactional?.acked(deliveries);
    const refused = this.#feed.settle(deliveries);
    if (away.length > 0) {
      const taken = await Promise.all(away.map((entry) => this.#giveBack(entry, {})));
      refused.push(...away.filter((_, index) => !taken[index]));
      if (away.length === deliveries.length) return refused;
    }
    if (refused.length === deliveries.length) return refused;
    this.#slots.settled();
    if (!this.#durable || (this.#hub.settings.autoCommit && this.#transactional === undefined)) {
      this.#later();
      return refused.length === 0 ? NONE : refused;
    }
    if (!(await this.#committer.commit())) return deliveries;
    for (const entry of deliveries as readonly Entry[]) {
      const { state, part, offset } = entry;
      if (state === SETTLED && !part.detached && offset >= part.told) refused.push(entry);
    }
    return refused;
  }

  async nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]> {
    if (!this.#durable) throw cannotReturn('nack');
    const entry = delivery as Entry;
    entry.staged = undefined;
    // At once where it stays: those that fail together are to be counted one by one.
    if (entry.state === OUT && this.#moves(entry) && (await this.#queued(entry, delay)))
      return this.ack([delivery]);
    // Only now: its partition may have changed hands meanwhile.
    const [away] = this.#away([delivery]);
    if (!this.#feed.retry(delivery, delay)) return [delivery];
    if (away !== undefined)
      return (await this.#giveBack(away, { due: Date.now() + delay })) ? NONE : [delivery];
    this.#slots.settled();
    const kept = await this.#committer.commit();
    return kept ? NONE : [delivery];
  }

  async stage(delivery: Delivery, records: readonly BusRecord[]): Promise<void> {
    if (this.#transactional === undefined) throw cannotReturn('a transaction');
    await this.#transactional.stage(delivery, records);
  }

  async release(deliveries: readonly Delivery[]): Promise<void> {
    if (!this.#durable) throw cannotReturn('release');
    const away = this.#away(deliveries);
    this.#feed.release(deliveries);
    await Promise.all(away.map((entry) => this.#giveBack(entry, { untouched: true })));
    this.#slots.settled();
    await this.#committer.commit();
  }

  /** Those whose partition is another member's by now. */
  #away(deliveries: readonly Delivery[]): Entry[] {
    return (deliveries as readonly Entry[]).filter(({ state, part }) => state === OUT && part.detached);
  }

  #giveBack({ part, offset }: Entry, how: Pick<Return, 'due' | 'untouched'>): Promise<boolean> {
    return this.#loans.giveBack(part, offset, this.#member.membership?.member ?? '', how);
  }

  /** Whether it is for the group's topic of retries: the account of its partition, which is this member's, holds enough. */
  #moves({ key, part }: Entry): boolean {
    if (part.detached) return false;
    if (this.#source.order === 'block' && key !== undefined) return false;
    return part.ledger.due.size >= MOST_WAITING;
  }

  /** Puts a retry into the group's own topic. */
  async #queued(entry: Entry, delay: number): Promise<boolean> {
    const { part, offset } = entry;
    // Where the answer was lost it may be there all the same, and have been read.
    return moveToRetries(this.#hub, this.id, this.#slots.count, entry, Date.now() + delay).catch(() =>
      part.ledger.done(offset),
    );
  }

  /** A window that is full and does not move: others in the group can have what waits behind it. */
  #lookStuck(): void {
    // What is with core would hold its partitions back all the same.
    if (this.#transactional !== undefined) return;
    if (this.#slots.members.size < 2 && !this.#slots.stuck) return;
    const stuck = this.#feed.stuck > STUCK;
    if (stuck === this.#slots.stuck || (!stuck && this.#feed.full)) return;
    if (!this.#member.stable) return;
    this.#slots.stuck = stuck;
    this.#member.rejoin();
  }

  async pause(): Promise<void> {
    this.#paused = true;
    this.#feed.pause();
    this.#slots.settled();
    // Others may have what is left of it.
    setTimeout(() => {
      if (this.#paused && !this.#closed) this.#member.rejoin();
    }, GIVE_UP).unref();
  }

  resume(room?: number): void {
    this.#paused = false;
    this.#feed.resume(room);
    if (!this.#toldToWant) this.#member.rejoin();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#feed.pause();
    clearTimeout(this.#timer);
    clearInterval(this.#stuckTimer);
    this.#cleaner.close();
    this.#loans.close();
    this.#hub.unlisten(this, !isLiteral(this.#source.pattern));
    this.#slots.close(isClosed());
    if (this.#member.stable) await Promise.race([this.#committer.commit(), wait(LAST_COMMIT)]);
    this.#committer.close();
    this.#feed.close();
    this.#reader.close();
    await Promise.race([this.#member.close(), wait(LAST_COMMIT)]).catch(() => {});
  }

  #later(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#committer.touch();
    }, this.#hub.settings.autoCommitInterval).unref();
  }

  #lost(): void {
    this.#committer.lost();
    this.#loans.close();
    this.#slots.lost();
  }

  /** What this member has done of late cannot be stored, ever: it all comes again, and its attempts count. */
  #giveUp(error: BusError): void {
    const { topic, message } = error;
    this.#hub.host.warning('what a handler has published cannot be stored with its ack', { topic, message });
    this.#lost();
    this.#member.rejoin();
  }

  #fail(error: BusError): void {
    this.#slots.close(error);
    if (!this.#closed) this.#sink.failed(error);
  }
}

/** Milliseconds within which an account that nobody waits for is committed. */
const SOON = 200;
/** Milliseconds that a paused member keeps its slots: who is about to close or resume need not trouble the others. */
const GIVE_UP = 60;
/** Milliseconds for which nothing of a full window may be settled before what waits behind it is offered to others. */
const STUCK = 600;
const LOOK_STUCK = 200;
/** Milliseconds that a close waits for the server. */
const LAST_COMMIT = 1_500;

function isClosed(): ClosedError {
  return new ClosedError('the subscription is closed', { broker: 'kafka' });
}

function cannotReturn(what: string): UnsupportedError {
  return new UnsupportedError(`${what} needs a group on a durable topic`, { broker: 'kafka' });
}

function missing({ group, pattern }: Source): ConfigError {
  return new ConfigError(`group "${group}" on "${pattern}" does not exist, and this bus may not create it`, {
    broker: 'kafka',
  });
}
