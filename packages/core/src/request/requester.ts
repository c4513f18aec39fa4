import type { Inbox } from '../broker.ts';
import type { Timer } from '../clock.ts';
import type { Core } from '../core.ts';
import type { BusRecord } from '../envelope/record.ts';
import {
  AbortError,
  type BusError,
  ClosedError,
  RemoteError,
  TimeoutError,
  ValidationError,
} from '../errors.ts';
import type { Middleware } from '../middleware/middleware.ts';
import { decode } from '../subscribe/decode.ts';
import { IncomingMessage, type Message, type MessageOwner } from '../subscribe/message.ts';
import { readError } from './remote-error.ts';

/** An answer. */
// biome-ignore lint/suspicious/noExplicitAny: an untyped bus hands out untyped data
export interface Reply<T = any>
  extends Pick<
    Message<T>,
    'id' | 'data' | 'headers' | 'time' | 'source' | 'correlationId' | 'contentType' | 'body'
  > {
  /** The group that answered, or an id of the ungrouped responder. */
  readonly responder: string;
}

/** Gets what comes back for one request. */
export interface Expectation {
  reply(reply: Reply): void;
  /** @param error - what a middleware or a schema has thrown is passed on as it is */
  failed(error: unknown, responder: string | undefined): void;
}

/** A request that waits. */
export interface Waiting {
  readonly id: string;
  readonly topic: string;
  /** Milliseconds that it may take. */
  readonly timeout: number;
  /** When they are over; milliseconds since the epoch. The opening of the inbox counts. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

interface Pending {
  readonly topic: string;
  readonly expectation: Expectation;
  readonly timer: Timer;
  readonly stopListening: (() => void) | undefined;
  /** Responders that have answered, the first by itself: one whose request was delivered twice answers twice. */
  first: string | undefined;
  others: Set<string> | undefined;
}

/** Whether this responder has answered before. It has from now on. */
function hasAnswered(pending: Pending, responder: string): boolean {
  if (pending.first === undefined) {
    pending.first = responder;
    return false;
  }
  if (pending.first === responder || pending.others?.has(responder)) return true;
  pending.others ??= new Set();
  pending.others.add(responder);
  return false;
}

/** A reply is settled by having arrived. */
const settled = async (): Promise<void> => {};
const NO_OWNER: MessageOwner = {
  group: undefined,
  settleAck: settled,
  settleNack: settled,
  settleDeadLetter: settled,
  extend: () => {},
  publish: () => Promise.reject(new ValidationError('publish through the bus: an answer causes nothing')),
};

/** The requests of a bus that wait for answers, over one inbox. */
export class Requester {
  readonly #core: Core;
  readonly #middleware: () => readonly Middleware[];
  readonly #pending = new Map<string, Pending>();
  #opening: Promise<Inbox> | undefined;
  #inbox: Inbox | undefined;

  /** @param middleware - what is there when an answer comes */
  constructor(core: Core, middleware: () => readonly Middleware[]) {
    this.#core = core;
    this.#middleware = middleware;
  }

  /** The address that requests carry. Opened with the first one, which waits for it no longer than its own deadline. */
  address(topic: string, timeout: number, signal: AbortSignal | undefined): string | Promise<string> {
    return this.#inbox?.address ?? this.#opened(topic, timeout, signal);
  }

  #opened(topic: string, timeout: number, signal: AbortSignal | undefined): Promise<string> {
    const { clock } = this.#core;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const timer = clock.setTimeout(() => reject(this.#expired(topic, timeout)), timeout);
    const aborted = (): void => reject(this.#aborted(topic, signal));
    signal?.addEventListener('abort', aborted, { once: true });
    this.#open().then(({ address }) => resolve(address), reject);
    return promise.finally(() => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
    });
  }

  #open(): Promise<Inbox> {
    this.#opening ??= this.#core.broker
      .openInbox((records) => this.#received(records))
      .then((inbox) => {
        this.#inbox = inbox;
        return inbox;
      })
      .catch((error: unknown) => {
        this.#opening = undefined;
        throw error;
      });
    return this.#opening;
  }

  #expired(topic: string, timeout: number): TimeoutError {
    return new TimeoutError(`no answer on "${topic}" within ${timeout} ms`, {
      topic,
      broker: this.#core.broker.name,
    });
  }

  #aborted(topic: string, signal: AbortSignal | undefined): AbortError {
    return new AbortError(`the request on "${topic}" was aborted`, { topic, cause: signal?.reason });
  }

  /** Waits for answers until the request's deadline, or until `forget` is called. */
  expect({ id, topic, timeout, deadline, signal }: Waiting, expectation: Expectation): void {
    if (this.#pending.has(id)) {
      throw new ValidationError(`a request with the id "${id}" is waiting for its answer already`, { topic });
    }
    const expired = (): void => this.#end(id, this.#expired(topic, timeout));
    this.#pending.set(id, {
      topic,
      expectation,
      timer: this.#core.clock.setTimeout(expired, deadline - this.#core.clock.now()),
      stopListening: signal && this.#listen(id, topic, signal),
      first: undefined,
      others: undefined,
    });
  }

  #listen(id: string, topic: string, signal: AbortSignal): () => void {
    const aborted = (): void => this.#end(id, this.#aborted(topic, signal));
    signal.addEventListener('abort', aborted, { once: true });
    return () => signal.removeEventListener('abort', aborted);
  }

  /** The request is done; what still comes for it is late. */
  forget(id: string): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#core.clock.clearTimeout(pending.timer);
    pending.stopListening?.();
  }

  #end(id: string, error: BusError): void {
    const pending = this.#pending.get(id);
    this.forget(id);
    pending?.expectation.failed(error, undefined);
  }

  #received(records: readonly BusRecord[]): void {
    for (const record of records) {
      const id = record.causationId;
      const pending = id === undefined ? undefined : this.#pending.get(id);
      if (pending === undefined) {
        this.#core.stats.lateReplies++;
        this.#core.events.emit('reply.late', { requestId: id ?? '', topic: record.type ?? '' });
        continue;
      }
      const responder = record.extensions?.responder ?? record.id;
      if (!hasAnswered(pending, responder)) this.#deliver(record, pending, responder);
    }
  }

  #deliver(record: BusRecord, { expectation, topic }: Pending, responder: string): void {
    const { error } = record.extensions ?? {};
    if (error !== undefined) {
      expectation.failed(readError(error, { topic, broker: this.#core.broker.name }), responder);
      return;
    }
    const message = new IncomingMessage({ record, attempt: 1, native: undefined }, NO_OWNER);
    const reply = (): void | Promise<void> => {
      const answer = toReply(message, responder);
      const layers = this.#middleware().filter((layer) => layer.reply !== undefined);
      if (layers.length === 0) return expectation.reply(answer);
      return throughMiddleware(layers, answer).then((reply) => expectation.reply(reply), failedInMiddleware);
    };
    const failedInMiddleware = (error: unknown): void => expectation.failed(error, responder);
    const undecodable = (cause: unknown): void =>
      expectation.failed(
        new RemoteError(
          `the answer cannot be read: ${(cause as Error).message}`,
          { name: 'SerializationError' },
          { topic, cause, retryable: false },
        ),
        responder,
      );
    try {
      const decoding = decode(message, this.#core.decoding, topic);
      if (decoding === undefined) void reply();
      else decoding.then(reply, undecodable);
    } catch (cause) {
      undecodable(cause);
    }
  }

  /** Gives up what is still pending. */
  async close(): Promise<void> {
    for (const [id, { topic }] of [...this.#pending]) {
      this.#end(id, new ClosedError(`the bus was closed before an answer came on "${topic}"`, { topic }));
    }
    // One that is still being opened, for want of a connection, ends with the broker.
    await this.#inbox?.close();
  }
}

/** From the innermost to the outermost: the way back of what went out. */
async function throughMiddleware(layers: readonly Middleware[], reply: Reply): Promise<Reply> {
  let current = reply;
  for (const layer of [...layers].reverse()) current = await layer.reply!(current);
  return current;
}

function toReply(message: IncomingMessage, responder: string): Reply {
  return {
    id: message.id,
    data: message.data,
    headers: message.headers,
    time: message.time,
    source: message.source,
    correlationId: message.correlationId,
    contentType: message.contentType,
    body: message.bytes,
    responder,
  };
}
