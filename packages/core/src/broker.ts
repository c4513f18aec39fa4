import type { Capabilities } from './capabilities.ts';
import type { Clock } from './clock.ts';
import type { BusRecord, Channel } from './envelope/record.ts';
import type { BusError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Provision, Retention, TopicConfig, TopicRule } from './topic/config.ts';

/**
 * What a backend implements. A broker moves bytes and keeps positions and leases; it knows no policy: what to retry,
 * when to give up, whom to answer is decided in core. It never decodes a body.
 *
 * One object serves one bus. Its methods may be called concurrently and never before `connect` resolved, except
 * `close`, which may come at any time and more than once.
 *
 * While the connection is down, `pause` and `close` do not wait for the server: leases run out there. Settlements,
 * `subscribe`, `openInbox`, `cancel` and `admin` may wait for it to come back, or reject with a `ConnectionError`; core
 * bounds how long it waits for any of them. Queueing and resending by the driver is switched off: it would send after a
 * deadline, and twice.
 *
 * State that the server lost (flushed, emptied) is made again with one `warning`; what was deleted on purpose is not.
 *
 * Errors are `BusError`s. `retryable` on them is what core acts on: a lost connection is retryable, a refused password
 * is not. Nothing here throws synchronously.
 */
export interface Broker {
  /** Short name for errors, logs and `capabilities` tables: `redis`. */
  readonly name: string;

  /** Frozen. Core refuses what is `none` here before it calls anything. */
  readonly capabilities: Capabilities;

  /** Names of the topic options (`topics: { 'a.#': { partitions: 6 } }`) that only this broker knows. Default: none. */
  readonly topicOptions?: readonly string[];

  /** The server's time, where it is not the machine's: `@ambus/memory` under a virtual clock. */
  readonly clock?: Clock;

  /**
   * Reaches the server once, and rejects quickly with a `ConnectionError` if it cannot: a program that starts with a
   * wrong address should hear of it. After it resolved, the broker heals its connection by itself for as long as it is
   * not closed, re-establishes every subscription and inbox, and tells the host.
   */
  connect(host: BrokerHost): Promise<void>;

  /**
   * Stores (`durable`) or sends the records, in one round trip where the server allows it, and resolves when the server
   * has accepted them all. There are at most `limits.maxBatch` of them, of any mix of topics and channels.
   *
   * - Not accepted records are reported by one `PublishError` naming their indexes; every other record was accepted.
   *   Each entry of a multi-status answer is looked at.
   * - Any other rejection means that none is known to be accepted.
   * - Calls may overlap. Records of one topic and key are stored in the order of the calls and of the list.
   * - While the connection is down it waits for it to come back, up to `deadline` (milliseconds since the epoch), then
   *   rejects with a `TimeoutError` or `ConnectionError`. It sends nothing after the deadline.
   * - A `durable` record that nobody subscribes to is stored like any other.
   * - A `request` that is known to have no responder is reported with a `NoRespondersError`.
   * - A `reply` goes to the inbox whose address is its `topic`; one whose inbox is gone is dropped.
   * - `deliverAt` (only on `durable` records): the record becomes visible then, whatever the server's own maximum, and survives a restart where the
   *   topic does.
   * - `deduplicationKey`: a record whose key was seen on its topic within the host's window is accepted and dropped,
   *   atomically with the storing of the first.
   */
  publish(records: readonly BusRecord[], deadline: number): Promise<void>;

  /**
   * Opens a flow of deliveries. Resolves when it is in place: every matching record accepted after that reaches it. See
   * `Source` for what is asked, `Sink` for where it goes.
   */
  subscribe(source: Source, sink: Sink): Promise<BrokerSubscription>;

  /** Opens a private address for replies. Core asks for at most one a bus. Only where `capabilities.request`. */
  openInbox(sink: InboxSink): Promise<Inbox>;

  /**
   * Takes a record with `deliverAt` back that is not yet due. `token` is what the broker gave to
   * `BrokerHost.scheduled` for it, if anything. Resolves to false when it is already delivered or unknown. Only where
   * `capabilities.cancel`.
   */
  cancel?(topic: string, id: string, token: string | undefined): Promise<boolean>;

  /** Only where `capabilities.admin` or `capabilities.browse`. */
  readonly admin?: Admin;

  /** The driver's own client, for what the bus does not offer. */
  native(): unknown;

  /** Leaves nothing running: connections, timers, temporary server objects. Core has closed all subscriptions before. */
  close(): Promise<void>;
}

/** What core gives to a broker on connecting. */
export interface BrokerHost {
  /** Unique to this bus; names its connections, consumers and inbox on the server. */
  readonly busId: string;
  /** The application's name, for the server's client list. */
  readonly source: string;
  /** What every name on the server starts with. */
  readonly prefix: string;
  /**
   * `create`: make what is missing. `check`: reject with a `ConfigError` that names what is missing. `none`: touch and
   * look at nothing, assume that it is there.
   */
  readonly provision: Provision;
  /** Milliseconds that a deduplication key is remembered. */
  readonly deduplicationWindow: number;
  /** Milliseconds that `connect` may take. */
  readonly connectTimeout: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The options of a topic: what the first matching rule of the bus's `topics` says, with defaults filled in. */
  topic(topic: string): TopicConfig;
  /**
   * The same rules by pattern, the first that matches counts: for a broker that has to know where topics may lie before
   * one of them is named. They grow when a topic is declared later, so it is read anew each time.
   */
  readonly topicRules: readonly TopicRule[];
  /** The connection broke; subscriptions stand still, publishes wait. */
  disconnected(error: BusError): void;
  /** The connection is back, and everything is re-established. */
  reconnected(): void;
  /** Something that an operator should know (lost server state, a dangerous setting). Once, not per message. */
  warning(message: string, fields: object): void;
  /** Remembers what `cancel` will need for a record of the running `publish`. */
  scheduled(id: string, token: string): void;
}

/** Where a subscription starts. `new`: what is published after `subscribe` resolved. */
export type StartPosition = 'new' | 'earliest' | Date;

/** What a subscription wants. */
export interface Source {
  /** A topic or a pattern. The broker may deliver a superset of it; core filters exactly. */
  readonly pattern: string;
  readonly channel: Exclude<Channel, 'reply'>;
  /**
   * With a group: members with the same group and pattern share the records, and the position outlives them all
   * (`durable`), so it is created if missing and kept on close. Without: a private copy of everything, which leaves
   * nothing on the server once it is closed, and after a crash within a documented time.
   */
  readonly group: string | undefined;
  /**
   * Where a group that does not exist yet, or a private subscription, starts, on topics that exist then. A topic that is
   * created later is read from its first record on, also when no member was up at that moment.
   */
  readonly from: StartPosition;
  /**
   * Most unsettled deliveries at any time, at least 1. A delivery counts from `Sink.deliver` until `ack`, `nack` or
   * `release` was called for it, or it was reported lost.
   */
  readonly prefetch: number;
  /** Room for so many deliveries in the beginning, as in `BrokerSubscription.resume`. Default: the prefetch. */
  readonly room?: number | undefined;
  /**
   * What a nacked record does to later ones of its key: `skip` lets them pass, `block` holds them back until it is
   * acked. Without a key there is no difference.
   */
  readonly order: 'skip' | 'block';
  /**
   * Whether records will be staged (`BrokerSubscription.stage`). Only with a group on a durable topic, and where
   * `capabilities.transactions`. Default false.
   */
  readonly transaction?: boolean | undefined;
}

/**
 * One record on loan. The broker makes the object, core hands the same object back to settle it.
 *
 * With a group the loan is a lease that the broker renews by itself from delivery until settlement, however long that
 * takes; when it is lost all the same, it calls `Sink.lost`. Without a group there is nothing to lose.
 */
export interface Delivery {
  readonly record: BusRecord;
  /**
   * How often this record was delivered to this group, this time included, over all members and restarts. Starts at 1.
   * A delivery that was released does not count. Always 1 without a group.
   */
  readonly attempt: number;
  /** The driver's own message. */
  readonly native: unknown;
}

/**
 * Core's end of a subscription. Its methods never throw and return at once. They are not called from inside a call of
 * core to the broker: a `deliver` within an `ack` or a `release` would run in circles.
 */
export interface Sink {
  /**
   * New deliveries, oldest first; within a key in publish order. Of one key and group only one member has deliveries at
   * a time (where `capabilities.keyOrder`), and of one key no more than a quarter of the prefetch (at least 1): a key whose
   * handlers are slow must leave room for the others. A higher priority comes first where `capabilities.priority`.
   */
  deliver(deliveries: readonly Delivery[]): void;
  /** These leases are gone: somebody else may have the records already. */
  lost(deliveries: readonly Delivery[]): void;
  /** Asks for those of these back that no handler has begun with: they are released, soon, and the others settled as ever. */
  recall?(deliveries: readonly Delivery[]): void;
  /** The subscription has ended and will not come back (deleted under it, permission withdrawn). */
  failed(error: BusError): void;
}

/**
 * A running subscription. Settlements take batches because that is what is cheap on every protocol; each delivery is
 * settled by itself, never cumulatively. They resolve to the deliveries that were refused because their lease is lost,
 * and reject only when it is unknown what happened (the records then come again). Settling keeps working while paused
 * and until `close`.
 */
export interface BrokerSubscription {
  /** The records are done for this group. */
  ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]>;
  /**
   * The record is to come again to some member, not before `delay` milliseconds (0 or more), with its attempt counted and its
   * priority kept. The wait is the server's where `capabilities.retryDelay`. Only with a group on a durable topic:
   * otherwise core itself keeps the message for its retry. Where the source's order is `block`: once this has resolved, no
   * later record of the key reaches the sink before this one does, also none that was on its way.
   */
  nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]>;
  /**
   * Gives records back untouched, in their old place, at once and uncounted. Only with a group on a durable topic. May
   * come while `pause` is under way, and takes none of them back to this member then.
   */
  release(deliveries: readonly Delivery[]): Promise<void>;
  /**
   * Stages records that are to be stored together with the delivery's ack: the ack resolves when all of it is stored, or
   * refuses the delivery, and then nothing is. Adds to what was staged for it before, and counts from the call on, not
   * from when it resolves: an ack may come in between. An empty list drops what was staged, as any other settlement, a
   * lost lease and the end of the process do. Until the ack nobody sees the records. Rejects, having staged none of them,
   * where one of them can never be stored. Only where `capabilities.transactions`.
   */
  stage?(delivery: Delivery, records: readonly BusRecord[]): Promise<void>;
  /**
   * Stops fetching. Resolves when no further `deliver` will come. What was fetched beyond the deliveries is given back
   * first, uncounted; until then its leases are renewed, too.
   */
  pause(): Promise<void>;
  /**
   * Fetches again, until the next `pause` with room for `room` more unsettled deliveries than there are now, and never for
   * more than the prefetch. Default: all of it. While it fetches, this changes how much room there is. Without a group, or
   * where nothing is stored, `room` may be ignored.
   */
  resume(room?: number): void;
  /** Ends it; unsettled deliveries go back as if their consumer had died. Resolves when nothing of it is left. */
  close(): Promise<void>;
}

/** Where replies go. Several records may come at once. Never throws. */
export type InboxSink = (records: readonly BusRecord[]) => void;

/** A private reply address, unique over all buses and gone with this one. */
export interface Inbox {
  /** What requests carry as `replyTo`, and their replies as `topic`. */
  readonly address: string;
  close(): Promise<void>;
}

/** A group on the server. */
export interface GroupInfo {
  readonly group: string;
  readonly pattern: string;
  /** Records not yet settled, waiting for a retry included. May be approximate while they flow; 0 only when none is left. */
  readonly depth: number;
  /** Of these, how many are with a member right now. */
  readonly inFlight: number;
  /** Members that are up, as far as the server knows: one that died counts until its lease has run out. */
  readonly members: number;
}

/** A stored topic. */
export interface TopicInfo {
  readonly topic: string;
  /** Records that are stored. */
  readonly depth: number;
  readonly retention: Retention;
}

/** A stored record and its place. */
export interface StoredRecord {
  readonly record: BusRecord;
  /** Names the record to `Admin.remove`; only the broker reads it. */
  readonly position: string;
}

/** One page of a topic. */
export interface Page {
  readonly records: readonly StoredRecord[];
  /** Where the next page starts; `undefined` at the end. */
  readonly cursor: string | undefined;
}

/** Care of what lies on the server. Names are the bus's own, without prefix or encoding. */
export interface Admin {
  /** Only what this bus's prefix covers, never foreign objects. */
  listTopics(): Promise<readonly TopicInfo[]>;
  /** Creates a durable topic as configured; an existing one is left as it is. */
  ensureTopic(topic: string): Promise<void>;
  /** Deletes a topic and what is in it. False when there was none. */
  deleteTopic(topic: string): Promise<boolean>;
  listGroups(): Promise<readonly GroupInfo[]>;
  /** One of these, without looking at the others. Undefined when there is no such group. */
  group(pattern: string, group: string): Promise<GroupInfo | undefined>;
  /** Creates a group that starts at `from`; an existing one is left where it is. */
  ensureGroup(pattern: string, group: string, from: StartPosition): Promise<void>;
  /** Deletes a group and its position; its members are told by `Sink.failed`. False when there was none. */
  deleteGroup(pattern: string, group: string): Promise<boolean>;
  /** Removes all records of a topic, for every group. Resolves to how many there were, where the server says. */
  purge(topic: string): Promise<number>;
  /**
   * Reads a topic from its oldest record on without consuming anything. What was accepted before the call is seen.
   *
   * @param cursor - from the page before; the start when undefined
   * @param limit - most records in the page, at least 1
   */
  browse(topic: string, cursor: string | undefined, limit: number): Promise<Page>;
  /** Removes single records; gone for `browse` when it resolves. Unknown positions are skipped. Resolves to the count. */
  remove(topic: string, positions: readonly string[]): Promise<number>;
}
