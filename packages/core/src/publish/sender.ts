import { CircuitBreaker, type CircuitBreakerOptions } from '../breaker/circuit-breaker.ts';
import { atMost } from '../clock.ts';
import { checkOptions } from '../config/check.ts';
import type { Core } from '../core.ts';
import type { Edited } from '../dead-letter/dead-letters.ts';
import { copy } from '../dead-letter/record.ts';
import type { BusRecord, Extensions } from '../envelope/record.ts';
import { AbortError, CircuitOpenError, NoRespondersError, TimeoutError, ValidationError } from '../errors.ts';
import type { Connection } from '../lifecycle/connection.ts';
import { composePublish, type Middleware, type Outgoing } from '../middleware/middleware.ts';
import type { Message } from '../subscribe/message.ts';
import type { Topic } from '../topic/table.ts';
import { buildRecord, type Internal, type RecordDefaults, type Stage } from './build-record.ts';
import { FREE, KeyOrder, type Place } from './key-order.ts';
import { PUBLISH_SPEC, type PublishOptions } from './options.ts';
import type { Receipt } from './receipt.ts';

/** Breakers that are remembered, one a topic; the map is dropped when it has grown to this. */
const REMEMBERED_BREAKERS = 10_000;

/** The way of a message out of the bus: options, middleware, breaker, wire form, publisher. */
export class Sender {
  readonly #core: Omit<Core, 'publish'>;
  readonly #connection: Connection;
  readonly #defaults: RecordDefaults;
  /** Milliseconds that a publish waits for those of its key that are in their middleware. */
  readonly #patience: number;
  readonly #breakers = new Map<string, CircuitBreaker>();
  /** What brokers gave us to cancel delayed messages with, until the receipt is handed out. */
  readonly #tokens: Map<string, string>;
  #middleware: readonly Middleware[];
  /** What waits for a middleware, its serializer or the connection: the publisher does not know of it yet. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Records that wait for the connection. */
  #held = 0;
  readonly #order = new KeyOrder();

  constructor(
    core: Omit<Core, 'publish'>,
    connection: Connection,
    defaults: RecordDefaults,
    patience: number,
    middleware: readonly Middleware[],
    tokens: Map<string, string>,
  ) {
    this.#core = core;
    this.#connection = connection;
    this.#defaults = defaults;
    this.#patience = patience;
    this.#middleware = middleware;
    this.#tokens = tokens;
  }

  get middleware(): readonly Middleware[] {
    return this.#middleware;
  }

  use(middleware: Middleware): void {
    this.#middleware = [...this.#middleware, middleware];
  }

  /** On the hot path: nothing is awaited that need not be. */
  publish(name: string, data: unknown, options?: PublishOptions, stage?: Stage): Promise<Receipt> {
    const internal = stage === undefined ? undefined : { stage };
    try {
      if (options !== undefined) checkOptions('publish option', options, PUBLISH_SPEC);
      const topic = this.#core.decoding.topics.get(name);
      if (this.#middleware.length > 0)
        return this.#track(this.#throughMiddleware('publish', topic, data, options, internal));
      return this.#send(topic, data, options, internal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  request(
    name: string,
    data: unknown,
    options: PublishOptions,
    { replyTo, expiresAt }: { readonly replyTo: string; readonly expiresAt: number },
  ): Promise<Receipt> {
    try {
      const topic = this.#core.decoding.topics.get(name);
      const internal: Internal = { replyTo, expiresAt, channel: 'request' };
      return this.#middleware.length > 0
        ? this.#throughMiddleware('request', topic, data, options, internal)
        : this.#send(topic, data, options, internal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** An answer that nobody waits for any more is not sent. */
  async reply(
    request: Message,
    data: unknown,
    options: PublishOptions,
    extensions: Extensions,
  ): Promise<void> {
    const address = request.replyTo;
    if (address === undefined) return;
    const topic = this.#core.decoding.topics.get(request.topic);
    const given: PublishOptions = {
      correlationId: request.correlationId ?? request.id,
      causationId: request.id,
      traceparent: request.traceparent,
      tracestate: request.tracestate,
      ...options,
    };
    const internal: Internal = { channel: 'reply', address, extensions };
    if (this.#middleware.length > 0) await this.#throughMiddleware('reply', topic, data, given, internal);
    else await this.#send(topic, data, given, internal);
    this.#core.stats.replies++;
  }

  /** Sends a stored record again, changed where `edited` says. */
  async resend(record: BusRecord, edited: Edited | undefined): Promise<void> {
    const changed = edited === undefined ? record : await this.#edit(record, edited);
    await this.#core.publisher.publish(changed, () => undefined);
  }

  /** New data goes out through the middleware, as it did the first time. */
  async #edit(record: BusRecord, edited: Edited): Promise<BusRecord> {
    const headers = edited.headers ?? record.headers;
    if (!('data' in edited)) return { ...copy(record), headers };
    let made: BusRecord | undefined;
    const send = composePublish(this.#middleware, async ({ data, options }) => {
      const topic = this.#core.decoding.topics.get(record.topic);
      made = await buildRecord(
        topic,
        data,
        { headers: options.headers },
        this.#core.clock.now(),
        this.#defaults,
      );
      return { id: record.id, topic: record.topic };
    });
    await send({ topic: record.topic, data: edited.data, options: { headers }, kind: 'publish' });
    if (made === undefined) {
      throw new ValidationError(`a middleware held the edited message back`, { topic: record.topic });
    }
    const { body, contentType, contentEncoding } = made;
    return { ...copy(record), headers: made.headers, body, contentType, contentEncoding };
  }

  async #throughMiddleware(
    kind: Outgoing['kind'],
    topic: Topic,
    data: unknown,
    options: PublishOptions | undefined,
    internal: Internal | undefined,
  ): Promise<Receipt> {
    const place = options?.key === undefined ? undefined : this.#order.take(topic.name, options.key);
    const outgoing: Outgoing = { topic: topic.name, data: owned(data), options: options ?? {}, kind };
    const send = composePublish(this.#middleware, async (changed) => {
      checkOptions('publish option', changed.options, PUBLISH_SPEC);
      return this.#send(
        this.#core.decoding.topics.get(changed.topic),
        changed.data,
        changed.options,
        internal,
        place,
      );
    });
    let receipt: Receipt | undefined;
    try {
      receipt = await send(outgoing);
    } finally {
      // Also where a middleware throws at once, or returns no promise.
      place?.done();
    }
    return receipt ?? { id: outgoing.options.id ?? '', topic: outgoing.topic };
  }

  #send(
    topic: Topic,
    data: unknown,
    options: PublishOptions | undefined,
    internal: Internal | undefined,
    place?: Place,
  ): Promise<Receipt> {
    const { signal } = options ?? {};
    if (signal?.aborted) return Promise.reject(aborted(topic.name, signal));
    const record = buildRecord(topic, data, options, this.#core.clock.now(), this.#defaults, internal);
    const sent =
      place !== undefined
        ? this.#track(this.#handAt(place, record, internal?.stage))
        : record instanceof Promise || !this.#order.isIdle
          ? this.#track(this.#inTurn(record, topic, options?.key, internal?.stage))
          : this.#hand(record, internal?.stage);
    return signal === undefined ? sent : abortable(sent, topic.name, signal);
  }

  /** Of one key, a record that is made at once must not overtake one that is still being compressed. */
  #inTurn(
    record: BusRecord | Promise<BusRecord>,
    topic: Topic,
    key: string | undefined,
    stage: Stage | undefined,
  ): Promise<Receipt> {
    const isBusy = key !== undefined && this.#order.isBusy(topic.name, key);
    if (!isBusy && !(record instanceof Promise)) return this.#hand(record, stage);
    const place = key === undefined ? FREE : this.#order.take(topic.name, key);
    return this.#handAt(place, record, stage);
  }

  async #handAt(
    place: Place,
    record: BusRecord | Promise<BusRecord>,
    stage: Stage | undefined,
  ): Promise<Receipt> {
    let sent: Promise<Receipt>;
    try {
      const [made] = await Promise.all([record, place.before && this.#turn(place.before)]);
      sent = this.#hand(made, stage);
    } finally {
      // Whoever comes next need not wait for the broker.
      place.done();
    }
    return sent;
  }

  /** Middleware may take its time, but one that waits for a publish of the same key, which waits for it, has no end. */
  async #turn(before: Promise<void>): Promise<void> {
    let hasCome = false;
    const come = before.then(() => {
      hasCome = true;
    });
    await atMost(this.#core.clock, come, this.#patience);
    if (!hasCome) {
      throw new TimeoutError(
        `an earlier publish of its key was still in its middleware after ${this.#patience} ms; middleware must not wait for a publish of the key that it is handling`,
      );
    }
  }

  #hand(record: BusRecord, stage: Stage | undefined): Promise<Receipt> {
    if (stage !== undefined) return stage(record).then(() => this.#toReceipt(record));
    return this.#connection.isReady && this.#held === 0
      ? this.#guarded(record)
      : this.#track(this.#connected(record));
  }

  /** Those that wait go first: what is published in the moment in which the connection is there queues up behind them. */
  async #connected(record: BusRecord): Promise<Receipt> {
    this.#held++;
    try {
      await this.#connection.ready();
    } finally {
      this.#held--;
    }
    return this.#guarded(record);
  }

  #guarded(record: BusRecord): Promise<Receipt> {
    const { circuitBreaker } = this.#core;
    if (circuitBreaker === undefined || record.channel === 'reply') return this.#deliver(record);
    return this.#throughBreaker(record, this.#breaker(record.topic, circuitBreaker));
  }

  async #throughBreaker(record: BusRecord, breaker: CircuitBreaker): Promise<Receipt> {
    if (!breaker.admit()) {
      throw new CircuitOpenError(`publishing to "${record.topic}" is suspended: it has failed too often`, {
        topic: record.topic,
        broker: this.#core.broker.name,
      });
    }
    try {
      const receipt = await this.#deliver(record);
      breaker.success();
      return receipt;
    } catch (error) {
      // That nobody answers says nothing about the broker.
      if (NoRespondersError.is(error)) breaker.forget();
      else breaker.failure(error);
      throw error;
    }
  }

  #deliver(record: BusRecord): Promise<Receipt> {
    return this.#core.publisher.publish(record, this.#receipt);
  }

  readonly #receipt = (record: BusRecord): Receipt => {
    const { id, topic, channel } = record;
    if (channel === 'request' || channel === 'reply') return { id, topic };
    this.#core.stats.published++;
    if (this.#core.events.has('message.published'))
      this.#core.events.emit('message.published', { id, topic });
    return this.#toReceipt(record);
  };

  #toReceipt({ id, topic, deliverAt }: BusRecord): Receipt {
    if (deliverAt === undefined) return { id, topic };
    const token = this.#tokens.get(id);
    this.#tokens.delete(id);
    return token === undefined ? { id, topic } : { id, topic, token };
  }

  #breaker(topic: string, options: CircuitBreakerOptions): CircuitBreaker {
    let breaker = this.#breakers.get(topic);
    if (breaker === undefined) {
      const { events, logger, clock } = this.#core;
      const event = { topic, group: undefined, side: 'publish' } as const;
      breaker = new CircuitBreaker(options, clock, {
        opened: (error) => {
          logger.warn({ topic, err: error }, 'circuit breaker opened, publishes fail at once');
          events.emit('circuit_breaker.opened', { ...event, error });
        },
        halfOpened: () => events.emit('circuit_breaker.half_opened', event),
        closed: () => events.emit('circuit_breaker.closed', event),
      });
      if (this.#breakers.size >= REMEMBERED_BREAKERS) this.stop();
      this.#breakers.set(topic, breaker);
    }
    return breaker;
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const done = (): void => void this.#underWay.delete(work);
    work.then(done, done);
    return work;
  }

  /** Resolves when nothing is left that was published and has not reached the publisher yet. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Forgets the breakers and their timers. */
  stop(): void {
    for (const breaker of this.#breakers.values()) breaker.stop();
    this.#breakers.clear();
  }
}

/** Bytes are copied: their owner may go on using the buffer while middleware takes its time. */
function owned(data: unknown): unknown {
  if (!(data instanceof Uint8Array)) return data;
  return Buffer.isBuffer(data) ? Buffer.from(data) : new Uint8Array(data);
}

function aborted(topic: string, signal: AbortSignal): AbortError {
  return new AbortError(`the publish to "${topic}" was aborted`, { topic, cause: signal.reason });
}

function abortable<T>(work: Promise<T>, topic: string, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(aborted(topic, signal));
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
