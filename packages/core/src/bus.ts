import { inspect } from 'node:util';
import type { Bus, PublishEntry, RunOptions } from './bus-types.ts';
import type { Capabilities } from './capabilities.ts';
import { atMost } from './clock.ts';
import { middlewareCheck } from './config/bus-options.ts';
import {
  arrayOf,
  callable,
  checkArgument,
  checkOptions,
  milliseconds,
  object,
  without,
} from './config/check.ts';
import type { Core } from './core.ts';
import { DeadLetters } from './dead-letter/dead-letters.ts';
import { ClosedError, PublishError, refused, UnsupportedError, ValidationError } from './errors.ts';
import { type BusEvents, EVENT_NAMES } from './events/events.ts';
import { type BusAdmin, connectedAdmin } from './lifecycle/admin.ts';
import type { Connection } from './lifecycle/connection.ts';
import { runUntilSignal } from './lifecycle/run.ts';
import type { Middleware } from './middleware/middleware.ts';
import type { PublishOptions } from './publish/options.ts';
import type { Receipt } from './publish/receipt.ts';
import type { Sender } from './publish/sender.ts';
import {
  REQUEST_SPEC,
  RESPOND_SPEC,
  type RequestOptions,
  type RespondOptions,
  SCATTER_SPEC,
  type ScatterOptions,
} from './request/options.ts';
import { type Asking, request, requestFirst, scatter } from './request/request.ts';
import { type Reply, Requester } from './request/requester.ts';
import { type RespondHandler, responderPlan } from './request/responder.ts';
import type { BusStats } from './stats.ts';
import { Consumers } from './subscribe/consumers.ts';
import { DEFAULT_HANDLER_TIMEOUT, makePlan } from './subscribe/make-plan.ts';
import type { Message } from './subscribe/message.ts';
import { STREAM_SPEC, SUBSCRIBE_SPEC, type SubscribeOptions } from './subscribe/options.ts';
import { checkReceive, type ReceiveOptions } from './subscribe/receive.ts';
import type { MessageStream } from './subscribe/stream.ts';
import type { Subscription } from './subscribe/subscription.ts';
import { assertPattern, assertTopic, describe, topicProblem } from './topic/topic.ts';

/** Milliseconds that the broker gets to answer while the bus closes; a server that hangs must not hold up its clients. */
const LAST_CALLS = 5_000;

/** What `createBus` has settled. */
export interface BusSetup {
  readonly core: Omit<Core, 'publish'>;
  readonly connection: Connection;
  readonly sender: Sender;
  readonly requestTimeout: number;
  readonly closeTimeout: number;
  readonly subscribeTimeout: number;
}

/** The bus: checks what it is given, and hands it to the part that does it. */
export class MessageBus implements Bus {
  readonly deadLetters: DeadLetters;
  readonly #core: Core;
  readonly #connection: Connection;
  readonly #sender: Sender;
  readonly #requester: Requester;
  readonly #asking: Asking;
  readonly #closeTimeout: number;
  readonly #consumers: Consumers;
  #state: 'open' | 'draining' | 'closed' = 'open';
  #closing: Promise<void> | undefined;
  #admin: BusAdmin | undefined;

  constructor(setup: BusSetup) {
    // Keeps secrets and internals out of what is printed.
    Object.defineProperty(this, inspect.custom, {
      value: () => `Bus(${this.broker}, ${this.#state}, ${this.#consumers.size} subscriptions)`,
    });
    this.#core = {
      ...setup.core,
      publish: (topic, data, options, stage) => this.#sender.publish(topic, data, options, stage),
    };
    this.#connection = setup.connection;
    this.#sender = setup.sender;
    this.#closeTimeout = setup.closeTimeout;
    this.#consumers = new Consumers(
      this.#core,
      { open: setup.subscribeTimeout, close: setup.closeTimeout },
      () => this.#usable(),
    );
    this.#requester = new Requester(this.#core, () => this.#sender.middleware);
    this.#asking = {
      core: this.#core,
      requester: this.#requester,
      send: (topic, data, options, internal) => this.#sender.request(topic, data, options, internal),
      defaultTimeout: setup.requestTimeout,
    };
    this.deadLetters = new DeadLetters(
      this.#core,
      () => this.#usable(),
      (record, edited) => this.#sender.resend(record, edited),
    );
  }

  get broker(): string {
    return this.#core.broker.name;
  }

  get capabilities(): Capabilities {
    return this.#core.broker.capabilities;
  }

  get admin(): BusAdmin {
    const { admin, capabilities, name } = this.#core.broker;
    if (admin === undefined || capabilities.admin === 'none')
      throw new UnsupportedError(`${name} does not offer admin`, { broker: name });
    this.#admin ??= connectedAdmin(admin, this.#core.clock, () => this.#usable());
    return this.#admin;
  }

  // ---- publishing ---------------------------------------------------------------------------------------------------

  publish(topic: string, data?: unknown, options?: PublishOptions): Promise<Receipt> {
    // While handlers run to their end they may still publish.
    if (this.#state === 'closed') return this.#usable() as Promise<never>;
    return this.#sender.publish(topic, data, options);
  }

  async publishMany(entries: readonly PublishEntry[]): Promise<Receipt[]> {
    if (this.#state === 'closed') await this.#usable();
    checkArgument('entries', entries, arrayOf(object));
    const results = await Promise.allSettled(
      entries.map(({ topic, data, ...options }) => this.#sender.publish(topic, data, options)),
    );
    const failures = results.flatMap((result, index) =>
      result.status === 'rejected' ? [{ index, error: refused(result.reason) }] : [],
    );
    if (failures.length > 0) {
      const first = failures[0]!;
      throw new PublishError(
        `${failures.length} of ${entries.length} messages were not accepted; number ${first.index}: ${first.error.message}`,
        failures,
        { broker: this.broker, cause: first.error },
      );
    }
    return results.map((result) => (result as PromiseFulfilledResult<Receipt>).value);
  }

  async cancel(receipt: Receipt): Promise<boolean> {
    checkArgument('the receipt', receipt, (value) =>
      typeof value === 'object' &&
      value !== null &&
      typeof (value as Receipt).id === 'string' &&
      typeof (value as Receipt).topic === 'string'
        ? undefined
        : 'what publish returned ({ id, topic })',
    );
    assertTopic(receipt.topic);
    const { broker } = this.#core;
    if (broker.cancel === undefined || broker.capabilities.cancel === 'none') {
      throw new UnsupportedError(`${broker.name} does not offer cancel`, {
        broker: broker.name,
        topic: receipt.topic,
      });
    }
    await this.#usable();
    return broker.cancel(receipt.topic, receipt.id, receipt.token);
  }

  // ---- consuming ----------------------------------------------------------------------------------------------------

  async subscribe(
    pattern: string,
    handler: (input: never) => unknown,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    assertPattern(pattern);
    checkArgument('the handler', handler, callable);
    checkOptions('subscribe option', options, SUBSCRIBE_SPEC);
    const plan = makePlan(pattern, handler, options, this.#core, this.#sender.middleware);
    return this.#consumers.subscribe(plan, options.signal);
  }

  stream<T>(pattern: string, options: Omit<SubscribeOptions, 'ack' | 'concurrency'> = {}): MessageStream<T> {
    assertPattern(pattern);
    checkOptions('stream option', options, STREAM_SPEC);
    return this.#consumers.stream<T>(
      (handle, onFailed) => {
        const given = { ...options, concurrency: 1 };
        const plan = makePlan(pattern, handle, given, this.#core, this.#sender.middleware);
        return this.#consumers.subscribe({ ...plan, onFailed }, options.signal);
      },
      options.handlerTimeout ?? DEFAULT_HANDLER_TIMEOUT,
      options.signal,
    );
  }

  async receive(pattern: string, options: ReceiveOptions): Promise<Message[]> {
    assertPattern(pattern);
    checkReceive(options);
    await this.#usable();
    const { group, max = 1, timeout = 5_000, signal, ...rest } = options;
    // Calls with other policies are other members of the group; where it begins counts only once.
    const { from: _, ...policies } = rest;
    const key = JSON.stringify([pattern, group, policies], (_, value) =>
      typeof value === 'function' ? String(value) : value,
    );
    const puller = this.#consumers.puller(key, max, (prefetch, handle) => {
      const given = { ...rest, group, prefetch, concurrency: prefetch, ack: 'manual' } as const;
      return makePlan(pattern, handle as never, given, this.#core, this.#sender.middleware);
    });
    return puller.receive(max, timeout, signal);
  }

  // ---- asking and answering -----------------------------------------------------------------------------------------

  async request(topic: string, data?: unknown, options: RequestOptions = {}): Promise<Reply> {
    await this.#checkRequest([topic], () => checkOptions('request option', options, REQUEST_SPEC));
    return request(this.#asking, topic, data, options);
  }

  async scatter(topic: string, data?: unknown, options: ScatterOptions = {}): Promise<Reply[]> {
    await this.#checkRequest([topic], () => checkOptions('scatter option', options, SCATTER_SPEC));
    const { min = 1, max } = options;
    if (max !== undefined && max < min) {
      throw new ValidationError(`scatter option "max" must be at least "min" (${min}), not ${max}`);
    }
    return scatter(this.#asking, topic, data, options);
  }

  async requestFirst(
    topics: readonly string[],
    data?: unknown,
    options: RequestOptions = {},
  ): Promise<Reply> {
    checkArgument('topics', topics, arrayOf(without(topicProblem)));
    if (topics.length === 0) throw new ValidationError('topics must name at least one topic');
    await this.#checkRequest(topics, () => checkOptions('request option', options, REQUEST_SPEC));
    return requestFirst(this.#asking, topics, data, options);
  }

  async respond(
    pattern: string,
    handler: RespondHandler,
    options: RespondOptions = {},
  ): Promise<Subscription> {
    assertPattern(pattern);
    checkArgument('the handler', handler, callable);
    checkOptions('respond option', options, RESPOND_SPEC);
    this.#requireRequests();
    const plan = responderPlan(pattern, handler, options, this.#core, this.#sender.middleware, (...reply) =>
      this.#sender.reply(...reply),
    );
    return this.#consumers.subscribe(plan, options.signal);
  }

  async #checkRequest(topics: readonly string[], check: () => void): Promise<void> {
    for (const topic of topics) assertTopic(topic);
    check();
    this.#requireRequests();
    if (this.#state !== 'draining') await this.#usable();
  }

  #requireRequests(): void {
    const { capabilities, name } = this.#core.broker;
    if (capabilities.request === 'none')
      throw new UnsupportedError(`${name} does not offer request`, { broker: name });
  }

  // ---- around it ----------------------------------------------------------------------------------------------------

  use(middleware: Middleware): this {
    checkArgument('the middleware', middleware, middlewareCheck);
    this.#sender.use(middleware);
    return this;
  }

  on<K extends keyof BusEvents>(event: K, listener: (event: BusEvents[K]) => unknown): () => void {
    if (!EVENT_NAMES.has(event)) {
      throw new ValidationError(
        `there is no event ${describe(event)}; there are ${[...EVENT_NAMES].join(', ')}`,
      );
    }
    checkArgument('the listener', listener, callable);
    return this.#core.events.on(event, listener);
  }

  stats(): BusStats {
    return {
      ...this.#core.stats,
      ...this.#consumers.totals(),
      unconfirmed: this.#core.publisher.unconfirmed,
    };
  }

  native<T = unknown>(): T {
    return this.#core.broker.native() as T;
  }

  connect(): Promise<void> {
    return this.#usable();
  }

  #usable(): Promise<void> {
    if (this.#state !== 'open')
      return Promise.reject(new ClosedError('the bus is closed', { broker: this.broker }));
    return this.#connection.ready();
  }

  run(options: RunOptions = {}): Promise<void> {
    return runUntilSignal(this, options);
  }

  close(options: { readonly timeout?: number | undefined } = {}): Promise<void> {
    try {
      checkOptions('close option', options, { timeout: milliseconds(0) });
    } catch (error) {
      return Promise.reject(error);
    }
    this.#closing ??= this.#close(options.timeout ?? this.#closeTimeout);
    return this.#closing;
  }

  async #close(timeout: number): Promise<void> {
    this.#state = 'draining';
    const { broker, events, publisher } = this.#core;
    await this.#consumers.close(timeout);
    // From here on no handler runs that would still publish; others could go on for ever.
    this.#state = 'closed';
    await atMost(this.#core.clock, this.#sender.settled(), timeout);
    await publisher.drained();
    await atMost(this.#core.clock, this.#requester.close(), LAST_CALLS).catch(() => {});
    await atMost(this.#core.clock, this.#connection.close(), LAST_CALLS);
    this.#sender.stop();
    publisher.stop();
    events.emit('closed', { broker: broker.name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
