import { type BusError, ConfigError, ConnectionError, TimeoutError } from '@ambus/core';
import type { Incoming } from '../link/driver.ts';
import { isUnheard, type Link } from '../link/link.ts';
import { serverHeader, statusOf } from '../wire/headers.ts';

/** Milliseconds that JetStream may take for an answer. A cluster that elects a leader takes seconds. */
const PATIENCE = 10_000;

/** Questions that change nothing. */
const READS = /^(STREAM\.INFO|CONSUMER\.(INFO|LIST))\./;
/** Milliseconds that one try of them may take. */
const ONE_TRY = 2_500;

/** JetStream's own codes of what is no failure to us. */
export const CODES = {
  consumerNotFound: 10014,
  consumerExists: 10148,
  consumerNameInUse: 10013,
  streamNotFound: 10059,
  streamNameInUse: 10058,
  wrongLastSequence: 10071,
  messageNotFound: 10037,
} as const;

/** No peers for placement yet, and no leader, of the cluster or of what is asked for. */
const PASSING: ReadonlySet<number> = new Set([10004, 10005, 10008, 10009]);
/** Milliseconds between two tries. */
const PAUSE = 200;

/** JetStream said no. */
export interface ApiFailure {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

export type Answer<T> =
  | { readonly value: T; readonly failure: undefined }
  | { readonly value: undefined; readonly failure: ApiFailure };

/** A stored message, as a direct get answers. */
export interface Stored {
  readonly seq: number;
  readonly subject: string;
  /** When it was stored; milliseconds since the epoch. */
  readonly time: number;
  readonly head: Uint8Array;
  readonly body: Uint8Array;
  readonly native: unknown;
}

/** Nobody answers for JetStream, or for this stream or consumer. */
const UNHEARD: ApiFailure = { code: 503, err_code: 0, description: 'no JetStream answers' };

/** JetStream's API, as far as it is needed. */
export class Api {
  readonly #link: Link;
  readonly #root: string;

  constructor(link: Link) {
    const { domain } = link.settings;
    this.#link = link;
    this.#root = domain === undefined ? '$JS.API' : `$JS.${domain}.API`;
  }

  /**
   * Asks again for a while where the server is only not ready: a cluster elects its leaders for seconds.
   *
   * @throws {ConnectionError | TimeoutError | ConfigError} when there is no answer
   */
  async ask<T>(subject: string, request: object = {}): Promise<Answer<T>> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const answer = await this.#askOnce<T>(subject, request);
      if (!PASSING.has(answer.failure?.err_code ?? 0) || Date.now() > end) return answer;
      await new Promise((resolve) => setTimeout(resolve, PAUSE).unref());
    }
  }

  async #askOnce<T>(subject: string, request: object): Promise<Answer<T>> {
    const path = `${this.#root}.${subject}`;
    const body = JSON.stringify(request);
    const message = READS.test(subject)
      ? await this.#persist(path, body)
      : await this.#link.ask(path, body, PATIENCE);
    if (isUnheard(message)) return { value: undefined, failure: UNHEARD };
    const answer = JSON.parse(text(message)) as T & { error?: ApiFailure };
    return answer.error === undefined
      ? { value: answer, failure: undefined }
      : { value: undefined, failure: answer.error };
  }

  /** As `ask`, where a no is an error. */
  async get<T>(subject: string, request: object = {}): Promise<T> {
    const { value, failure } = await this.ask<T>(subject, request);
    if (failure !== undefined) throw apiError(subject, failure);
    return value;
  }

  /** The last message of a subject; undefined when there is none. */
  last(stream: string, subject: string): Promise<Stored | undefined> {
    return this.#direct(`${stream}.${subject}`, {});
  }

  /** The first message from `seq` on whose subject matches; undefined when there is none. */
  next(stream: string, seq: number, subject: string): Promise<Stored | undefined> {
    return this.#direct(stream, { seq, next_by_subj: subject });
  }

  /** The message of this number; undefined when there is none. */
  at(stream: string, seq: number): Promise<Stored | undefined> {
    return this.#direct(stream, { seq });
  }

  /** A question that changes nothing is asked again when the connection broke meanwhile, or nobody led who could answer. */
  async #persist(subject: string, body: string): Promise<Incoming> {
    const end = Date.now() + PATIENCE;
    for (;;) {
      await this.#link.ready(end);
      try {
        return await this.#link.ask(subject, body, ONE_TRY);
      } catch (error) {
        if (!(ConnectionError.is(error) || TimeoutError.is(error)) || Date.now() > end) throw error;
        // The driver tells of the break a moment later.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  async #direct(path: string, request: object): Promise<Stored | undefined> {
    const body = Object.keys(request).length === 0 ? '' : JSON.stringify(request);
    const message = await this.#persist(`${this.#root}.DIRECT.GET.${path}`, body);
    const head = message.head;
    if (head === undefined) throw apiError('DIRECT.GET', UNHEARD);
    const status = statusOf(head);
    if (status?.code === 404) return undefined;
    if (status !== undefined)
      throw apiError('DIRECT.GET', { ...UNHEARD, code: status.code, description: status.text });
    return {
      seq: Number(serverHeader(head, 'Nats-Sequence')),
      subject: serverHeader(head, 'Nats-Subject') ?? '',
      time: Date.parse(serverHeader(head, 'Nats-Time-Stamp') ?? ''),
      head,
      body: message.body,
      native: message.native,
    };
  }

  /**
   * Stores one message.
   *
   * @param headers - finished lines
   * @returns its number, or why it was not taken
   */
  async store(subject: string, body: string, headers = ''): Promise<Answer<{ readonly seq: number }>> {
    const head = headers === '' ? undefined : Buffer.from(`NATS/1.0\r\n${headers}\r\n`);
    return pubAck(await this.#link.ask(subject, body, PATIENCE, head));
  }

  /** As `store`, with a finished header block. */
  async storeBytes(
    subject: string,
    head: Uint8Array,
    body: Uint8Array,
  ): Promise<Answer<{ readonly seq: number }>> {
    return pubAck(await this.#link.ask(subject, body, PATIENCE, head));
  }
}

function pubAck(message: Incoming): Answer<{ readonly seq: number }> {
  if (isUnheard(message)) return { value: undefined, failure: UNHEARD };
  const answer = JSON.parse(text(message)) as { seq: number; error?: ApiFailure };
  return answer.error === undefined
    ? { value: answer, failure: undefined }
    : { value: undefined, failure: answer.error };
}

export function text({ body }: { readonly body: Uint8Array }): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

/** What a no of JetStream is to the bus. */
export function apiError(what: string, { code, err_code, description }: ApiFailure): BusError {
  const message = `nats: JetStream refused ${what}: ${description} (${code}/${err_code})`;
  // What a server is short of for a moment has codes of its own; the rest is wrong and stays so.
  const isPassing = code >= 500 || PASSING.has(err_code);
  return isPassing
    ? new ConnectionError(message, { broker: 'nats' })
    : new ConfigError(message, { broker: 'nats' });
}
