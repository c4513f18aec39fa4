import { type BusError, ConfigError, ConnectionError, TimeoutError } from '@ambus/core';
import type { Incoming } from '../link/driver.ts';
import { isUnheard, type Link } from '../link/link.ts';

/** Milliseconds that JetStream may take for an answer. A cluster that elects a leader takes seconds. */
const PATIENCE = 10_000;

/** Questions that change nothing, or no more when they are asked twice. */
const REPEATABLE = /^(STREAM\.(INFO|CREATE|UPDATE|MSG\.GET)|CONSUMER\.(INFO|LIST|NAMES|CREATE))\./;
/**
 * Milliseconds that the first try of them may take, and each further one twice as long: while a cluster elects who leads a
 * consumer, questions about it are not answered at all.
 */
const FIRST_TRY = 700;

/**
 * Questions of one bus that wait for their answers at a time. A server that has 10,000 of them waiting, of all its clients,
 * drops them all (2.11: "JetStream API queue limit reached").
 */
const AT_ONCE = 64;

/** JetStream's own codes of what is no failure to us. */
export const CODES = {
  /** Ours, for no answer. */
  unheard: 0,
  consumerNotFound: 10014,
  consumerExists: 10148,
  consumerNameInUse: 10013,
  streamNotFound: 10059,
  streamNameInUse: 10058,
  wrongLastSequence: 10071,
  messageNotFound: 10037,
  /** Another message of the subject is being stored, and it is not known yet whether it will be. */
  subjectInProcess: 10164,
  /** Another message of the same name is. */
  duplicateInProcess: 10158,
  /** A stream's queue is full: it holds 10,000 messages by default. */
  tooManyRequests: 10167,
} as const;

/**
 * Nobody answers yet, no peers for placement yet, no leader of the cluster or of what is asked for, a server that has not
 * caught up, or has too much to do. Nothing was stored.
 */
const PASSING: ReadonlySet<number> = new Set([
  CODES.unheard,
  10004,
  10005,
  10008,
  10009,
  10118,
  10163,
  CODES.tooManyRequests,
]);
/** Milliseconds between two tries. */
const PAUSE = 200;
/** Milliseconds that a JetStream domain of which nothing was ever heard may be on its way. */
const UNKNOWN_DOMAIN = 1_000;

/** What stays as it is although its code says that the server failed: no JetStream here, or in this account; too few servers. */
const FINAL: ReadonlySet<number> = new Set([10039, 10074, 10076]);

/** JetStream said no. */
export interface ApiFailure {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

export type Answer<T> =
  | { readonly value: T; readonly failure: undefined }
  | { readonly value: undefined; readonly failure: ApiFailure };

/** A stored message. */
export interface Stored {
  readonly seq: number;
  readonly subject: string;
  /** When it was stored; milliseconds since the epoch. */
  readonly time: number;
  /** The header block, each character a byte. */
  readonly headText: string | undefined;
  readonly body: Uint8Array;
}

/** A stored message, as the server answers. */
interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly time: string;
  readonly hdrs?: string;
  readonly data?: string;
}

/** Nobody answers for JetStream, or for this stream or consumer. */
const UNHEARD: ApiFailure = { code: 503, err_code: CODES.unheard, description: 'no JetStream answers' };

/** JetStream's API, as far as it is needed. */
export class Api {
  readonly #link: Link;
  readonly #root: string;
  /** Whether JetStream has ever answered. */
  #heard = false;
  #waiting = 0;
  /** Those whose turn has not come. */
  readonly #line: (() => void)[] = [];

  constructor(link: Link) {
    const { domain } = link.settings;
    this.#link = link;
    this.#root = domain === undefined ? '$JS.API' : `$JS.${domain}.API`;
  }

  /**
   * Asks again for a while where the server is only not ready: a cluster elects its leaders for seconds.
   *
   * @param patience - milliseconds that an answer may take to what must not be asked twice
   * @throws {ConnectionError | TimeoutError | ConfigError} when there is no answer
   */
  async ask<T>(subject: string, request: object = {}, patience: number = PATIENCE): Promise<Answer<T>> {
    const path = `${this.#root}.${subject}`;
    const body = JSON.stringify(request);
    // A server alone that is slow would only have more to do.
    const isRepeated = this.#link.driver.isClustered && REPEATABLE.test(subject);
    if (this.#waiting >= AT_ONCE) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#waiting++;
    try {
      return await this.#persist(() =>
        isRepeated ? this.#repeat(path, body) : this.#link.ask(path, body, patience),
      );
    } finally {
      // Its place goes to the next.
      const next = this.#line.shift();
      if (next === undefined) this.#waiting--;
      else next();
    }
  }

  async #persist<T>(once: () => Promise<Incoming>): Promise<Answer<T>> {
    const start = Date.now();
    for (;;) {
      const answer = answerOf<T>(await once());
      if (answer.failure?.err_code !== CODES.unheard) this.#heard = true;
      if (!this.#mayPass(answer.failure, Date.now() - start)) {
        if (!this.#heard) this.#checkThere();
        return answer;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE).unref());
    }
  }

  /** Whether asking again may help: a server alone that has no JetStream will not get it. */
  #mayPass(failure: ApiFailure | undefined, since: number): boolean {
    if (failure === undefined || !PASSING.has(failure.err_code) || since > PATIENCE) return false;
    if (failure.err_code !== CODES.unheard) return true;
    const { driver, settings } = this.#link;
    if (!this.#heard && settings.domain !== undefined && !driver.isClustered) return since < UNKNOWN_DOMAIN;
    return driver.mayHaveJetStream;
  }

  /** @throws {ConfigError} when nobody answers, and nobody is to be expected */
  #checkThere(): void {
    const { driver, settings } = this.#link;
    if (settings.domain !== undefined) {
      throw new ConfigError(
        `nats option "domain" is "${settings.domain}", and no JetStream of that domain answers`,
        { broker: 'nats' },
      );
    }
    if (driver.mayHaveJetStream) return;
    throw new ConfigError(
      'nats: this server has no JetStream, which durable topics need: turn it on, or make the topics ephemeral',
      { broker: 'nats' },
    );
  }

  /** As `ask`, where a no is an error. */
  async get<T>(subject: string, request: object = {}): Promise<T> {
    const { value, failure } = await this.ask<T>(subject, request);
    if (failure !== undefined) throw apiError(subject, failure);
    return value;
  }

  /** The last message of a subject; undefined when there is none. */
  last(stream: string, subject: string): Promise<Stored | undefined> {
    return this.#stored(stream, { last_by_subj: subject });
  }

  /** The first message from `seq` on whose subject matches; undefined when there is none. */
  next(stream: string, seq: number, subject: string): Promise<Stored | undefined> {
    return this.#stored(stream, { seq, next_by_subj: subject });
  }

  /** The message of this number; undefined when there is none. */
  at(stream: string, seq: number): Promise<Stored | undefined> {
    return this.#stored(stream, { seq });
  }

  /** Asked again when the connection broke meanwhile, or nobody led who could answer. */
  async #repeat(subject: string, body: string): Promise<Incoming> {
    const end = Date.now() + PATIENCE;
    for (let patience = FIRST_TRY; ; patience *= 2) {
      await this.#link.ready(end);
      try {
        return await this.#link.ask(subject, body, patience);
      } catch (error) {
        if (!(ConnectionError.is(error) || TimeoutError.is(error)) || Date.now() > end) throw error;
        // The driver tells of the break a moment later.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  /** The leader is asked: what answers a direct get may be a replica that has not caught up with what was accepted. */
  async #stored(stream: string, request: object): Promise<Stored | undefined> {
    const path = `STREAM.MSG.GET.${stream}`;
    const { value, failure } = await this.ask<{ message: StoredMessage }>(path, request);
    if (failure?.err_code === CODES.messageNotFound) return undefined;
    if (failure !== undefined) throw apiError(path, failure);
    const { seq, subject, time, hdrs, data = '' } = value.message;
    return {
      seq,
      subject,
      time: Date.parse(time),
      headText: hdrs === undefined ? undefined : Buffer.from(hdrs, 'base64').toString('latin1'),
      body: Buffer.from(data, 'base64'),
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
    return this.#persist(() => this.#link.ask(subject, body, PATIENCE, head));
  }

  /** As `store`, with a finished header block. */
  async storeBytes(
    subject: string,
    head: Uint8Array,
    body: Uint8Array,
  ): Promise<Answer<{ readonly seq: number }>> {
    return this.#persist(() => this.#link.ask(subject, body, PATIENCE, head));
  }
}

function answerOf<T>(message: Incoming): Answer<T> {
  if (isUnheard(message)) return { value: undefined, failure: UNHEARD };
  const answer = JSON.parse(text(message)) as T & { error?: ApiFailure };
  return answer.error === undefined
    ? { value: answer, failure: undefined }
    : { value: undefined, failure: answer.error };
}

export function text({ body }: { readonly body: Uint8Array }): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

/** Whether nothing is wrong with what was asked, and it may be asked again. */
export const isPassing = ({ err_code }: ApiFailure): boolean => PASSING.has(err_code);

/** What a no of JetStream is to the bus. */
export function apiError(what: string, { code, err_code, description }: ApiFailure): BusError {
  const message = `nats: JetStream refused ${what}: ${description} (${code}/${err_code})`;
  // What a server is short of for a moment has codes of its own, and a stream that is lost is made anew; the rest stays wrong.
  return (code >= 500 && !FINAL.has(err_code)) || PASSING.has(err_code) || err_code === CODES.streamNotFound
    ? new ConnectionError(message, { broker: 'nats' })
    : new ConfigError(message, { broker: 'nats' });
}
