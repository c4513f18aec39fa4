import type { Capabilities } from './capabilities.ts';
import type { DeadLetters } from './dead-letter/dead-letters.ts';
import type { BusEvents } from './events/events.ts';
import type { BusAdmin } from './lifecycle/admin.ts';
import type { Middleware } from './middleware/middleware.ts';
import type { PublishOptions } from './publish/options.ts';
import type { Receipt } from './publish/receipt.ts';
import type { RequestOptions, RespondOptions, ScatterOptions } from './request/options.ts';
import type { Reply } from './request/requester.ts';
import type { Replier } from './request/responder.ts';
import type { BusStats } from './stats.ts';
import type { Message } from './subscribe/message.ts';
import type { BatchAck, BatchHandler, Handler, SubscribeOptions } from './subscribe/options.ts';
import type { ReceiveOptions } from './subscribe/receive.ts';
import type { MessageStream } from './subscribe/stream.ts';
import type { Subscription } from './subscribe/subscription.ts';
import type { Publishes, Receives, TopicName } from './topic/typed.ts';

/** One entry of `publishMany`. */
export interface PublishEntry extends Omit<PublishOptions, 'signal'> {
  readonly topic: string;
  readonly data: unknown;
}

/** How `bus.run` ends. */
export interface RunOptions {
  /** Signals of the operating system that end it. Default `SIGINT` and `SIGTERM`. */
  readonly signals?: readonly NodeJS.Signals[] | undefined;
  /** Ends it, too. */
  readonly signal?: AbortSignal | undefined;
  /** As for `close`. */
  readonly timeout?: number | undefined;
}

/**
 * What a program talks through. Made by `createBus`; connects with its first use, or with `connect()`.
 *
 * Every method checks its arguments first and rejects with a `ValidationError` that names what is wrong, before anything
 * is sent. After `close()` all of them reject with a `ClosedError`.
 *
 * @typeParam M - payload types by topic; `createBus<{ 'orders.created': Order }>()`. Left out, it stands for any bus: a
 * function that takes a `Bus` takes every one.
 */
// biome-ignore lint/suspicious/noExplicitAny: the only type that a bus of any topics is assignable to
export interface Bus<M = any> extends AsyncDisposable {
  /** The broker's name. */
  readonly broker: string;
  /** What the broker can do. */
  readonly capabilities: Capabilities;
  /** Messages that failed for good. */
  readonly deadLetters: DeadLetters;
  /**
   * Topics and groups on the server.
   *
   * @throws {UnsupportedError} on access, where the broker does not offer it
   */
  readonly admin: BusAdmin;

  /**
   * Resolves when the broker has accepted the message: stored it, on a durable topic.
   *
   * @throws {SerializationError | ValidationError | MessageTooLargeError | QueueFullError | CircuitOpenError |
   * TimeoutError | ConnectionError | UnsupportedError | AbortError | ClosedError}
   */
  publish<T extends TopicName<M>>(
    topic: T,
    data: Publishes<M, T>,
    options?: PublishOptions,
  ): Promise<Receipt>;
  publish(topic: TopicName<M>): Promise<Receipt>;

  /**
   * Publishes many at once. Each succeeds or fails by itself.
   *
   * @throws {PublishError} whose `failures` name by index those that were not accepted; all others were
   */
  publishMany(entries: readonly PublishEntry[]): Promise<Receipt[]>;

  /**
   * Takes a delayed message back.
   *
   * @param receipt - what `publish` returned: `{ id, topic, token? }`
   * @returns false when it was delivered already or is unknown
   * @throws {ValidationError} for anything else
   * @throws {UnsupportedError} where `capabilities.cancel` is `none`
   * @throws {ConnectionError | ClosedError}
   */
  cancel(receipt: Receipt): Promise<boolean>;

  /**
   * Calls `handler` for each message. Resolves when everything published from then on reaches it.
   *
   * @throws {ValidationError} for what is not allowed in pattern, handler or options
   * @throws {UnsupportedError} for what the broker does not offer
   * @throws {TimeoutError} when it is not in place within `publishTimeout`
   * @throws {ConfigError} when something is missing on the server that the bus may not create
   * @throws {AbortError} when its `signal` fires before it is in place
   * @throws {ConnectionError | ClosedError}
   */
  subscribe<P extends string>(
    pattern: P,
    handler: BatchHandler<Receives<M, P>>,
    options: SubscribeOptions<Receives<M, P>> & { readonly ack: BatchAck },
  ): Promise<Subscription>;
  subscribe<P extends string>(
    pattern: P,
    handler: Handler<Receives<M, P>>,
    options?: SubscribeOptions<Receives<M, P>> & { readonly ack?: 'auto' | 'manual' | undefined },
  ): Promise<Subscription>;
  subscribe<T>(pattern: string, handler: Handler<T>, options?: SubscribeOptions<T>): Promise<Subscription>;

  /**
   * Messages as an async iterable. A message is acked when the next one is asked for; leave the loop after `msg.ack()`,
   * or the last one comes again to the group. It subscribes when the first message is asked for.
   *
   * @throws {ValidationError} at once, for what is not allowed in pattern or options. What `subscribe` rejects with, and what
   * the subscription ends with later, comes out of the loop.
   */
  stream<P extends string>(
    pattern: P,
    options?: Omit<SubscribeOptions<Receives<M, P>>, 'ack' | 'concurrency'>,
  ): MessageStream<Receives<M, P>>;

  /**
   * Pulls up to `max` messages, to be settled by hand; none when none came in time. Between two calls the bus keeps its
   * place in the group, for five minutes, or until the last message is settled: what is published to an ephemeral topic
   * after that, and before the next call, is for others.
   *
   * @throws {ValidationError | UnsupportedError | TimeoutError | ConfigError | ConnectionError | ClosedError} as `subscribe`
   */
  receive<P extends string>(pattern: P, options: ReceiveOptions): Promise<Message<Receives<M, P>>[]>;

  /**
   * Asks, and resolves to the first answer.
   *
   * @throws {TimeoutError | NoRespondersError | RemoteError} and what `publish` throws
   */
  // biome-ignore lint/suspicious/noExplicitAny: answers are typed by the caller
  request<R = any>(topic: string, data?: unknown, options?: RequestOptions): Promise<Reply<R>>;

  /**
   * Asks all: one answer per responder group and per ungrouped responder, until `max` have come or the deadline. Without
   * `max` it always takes until the deadline, since nobody knows who may still answer.
   *
   * @throws {ScatterError} when fewer than `min` came
   */
  // biome-ignore lint/suspicious/noExplicitAny: answers are typed by the caller
  scatter<R = any>(topic: string, data?: unknown, options?: ScatterOptions): Promise<Reply<R>[]>;

  /**
   * Asks on several topics; the first good answer counts.
   *
   * @throws {ValidationError} without a topic
   * @throws when none answered well, one of their errors: an `AbortError` first, then a `RemoteError`, then a `TimeoutError`,
   * else that of the first topic
   */
  // biome-ignore lint/suspicious/noExplicitAny: answers are typed by the caller
  requestFirst<R = any>(
    topics: readonly string[],
    data?: unknown,
    options?: RequestOptions,
  ): Promise<Reply<R>>;

  /**
   * Answers requests: with what `handler` returns, with what it throws, or by its second argument.
   *
   * @throws {UnsupportedError} where `capabilities.request` is `none`
   * @throws {ValidationError | TimeoutError | ConfigError | AbortError | ConnectionError | ClosedError} as `subscribe`
   */
  respond<P extends string>(
    pattern: P,
    handler: (request: Message<Receives<M, P>>, reply: Replier) => unknown,
    options?: RespondOptions,
  ): Promise<Subscription>;

  /**
   * Adds a middleware inside those that are there. Subscriptions that exist keep what they have.
   *
   * @throws {ValidationError} when it is none
   */
  use(middleware: Middleware): this;

  /**
   * Adds a listener; the returned function takes it away.
   *
   * @throws {ValidationError} when there is no such event
   */
  on<K extends keyof BusEvents>(event: K, listener: (event: BusEvents[K]) => unknown): () => void;

  /** What happened so far, and what is going on. */
  stats(): BusStats;

  /**
   * The driver's own client, for what the bus does not offer: on memory the hub, on Kafka a client of kafkajs that is not
   * connected. On Redis and NATS undefined until the bus has connected. Does not throw.
   */
  native<T = unknown>(): T;

  /**
   * Connects now instead of with the first use.
   *
   * @throws {ConnectionError} when the server cannot be reached, or refuses the credentials (`retryable: false`). The next use
   * tries again.
   * @throws {ConfigError} when the server is not what the options say
   * @throws {ClosedError} after `close`
   */
  connect(): Promise<void>;

  /**
   * Stops fetching, gives back what no handler has seen, lets running handlers finish (they can still publish and
   * request), settles, flushes, and disconnects. Calling it again returns the same promise.
   *
   * @param options.timeout - milliseconds that handlers get; then their signals fire. Default: the bus's `closeTimeout`.
   */
  close(options?: { readonly timeout?: number | undefined }): Promise<void>;

  /**
   * Connects, and resolves when a signal has come and the bus is closed.
   *
   * @throws {ValidationError} for a wrong option, and what `connect` rejects with
   */
  run(options?: RunOptions): Promise<void>;
}
