import type { Core } from '../core.ts';
import { uuidv7 } from '../envelope/uuid.ts';
import {
  AbortError,
  asBusError,
  type BusError,
  NoRespondersError,
  RemoteError,
  ScatterError,
  TimeoutError,
} from '../errors.ts';
import type { PublishOptions } from '../publish/options.ts';
import type { RequestOptions, ScatterOptions } from './options.ts';
import type { Reply, Requester } from './requester.ts';

/** Sends a request's message. */
export type SendRequest = (
  topic: string,
  data: unknown,
  options: PublishOptions,
  internal: { readonly replyTo: string; readonly expiresAt: number },
) => Promise<unknown>;

/** What the ways of asking share. */
export interface Asking {
  readonly core: Core;
  readonly requester: Requester;
  readonly send: SendRequest;
  readonly defaultTimeout: number;
}

interface Question {
  readonly topic: string;
  readonly data: unknown;
  readonly options: RequestOptions;
  readonly reply: (reply: Reply) => void;
  /** `responder` is undefined where the request as a whole failed. */
  readonly failed: (error: BusError, responder: string | undefined) => void;
}

/** Sends a request and passes on what comes back. Returns how to stop listening. */
async function ask(asking: Asking, question: Question): Promise<() => void> {
  const { core, requester } = asking;
  const { topic, data, options, reply, failed } = question;
  const { timeout = asking.defaultTimeout, signal, ...rest } = options;
  if (signal?.aborted)
    throw new AbortError(`the request on "${topic}" was aborted`, { topic, cause: signal.reason });
  const replyTo = await requester.address();
  const id = options.id ?? uuidv7(core.clock.now());
  core.stats.requests++;
  requester.expect(id, topic, timeout, signal, { reply, failed });
  const stop = (): void => requester.forget(id);
  const internal = { replyTo, expiresAt: core.clock.now() + timeout };
  asking.send(topic, data, { ...rest, id }, internal).catch((error: unknown) => {
    stop();
    failed(asBusError(error, { topic, broker: core.broker.name }), undefined);
  });
  return stop;
}

/** The first answer, or the error of who answered. */
export function request(
  asking: Asking,
  topic: string,
  data: unknown,
  options: RequestOptions,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let stop = (): void => {};
    const done =
      <T>(settle: (value: T) => void) =>
      (value: T): void => {
        settle(value);
        stop();
      };
    ask(asking, { topic, data, options, reply: done(resolve), failed: done(reject) }).then((forget) => {
      stop = forget;
    }, reject);
  });
}

/**
 * Answers of many: one per responder group and per ungrouped responder, until `max` have come or the deadline.
 *
 * @throws {ScatterError} when fewer than `min` came, with those that did
 */
export function scatter(
  asking: Asking,
  topic: string,
  data: unknown,
  options: ScatterOptions,
): Promise<Reply[]> {
  const { min = 1, max = Number.POSITIVE_INFINITY, ...rest } = options;
  return new Promise((resolve, reject) => {
    const replies: Reply[] = [];
    const refusals: BusError[] = [];
    let stop = (): void => {};
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      stop();
      if (replies.length >= min) resolve(replies);
      else {
        const text = `${replies.length} of at least ${min} answers came on "${topic}"`;
        const cause =
          refusals.length > 0 ? new AggregateError(refusals, 'responders that failed') : undefined;
        reject(
          new ScatterError(refusals.length > 0 ? `${text}, and ${refusals.length} errors` : text, replies, {
            topic,
            cause,
          }),
        );
      }
    };
    const question: Question = {
      topic,
      data,
      options: rest,
      reply: (reply) => {
        if (replies.push(reply) >= max) end();
      },
      failed: (error, responder) => {
        if (responder !== undefined) refusals.push(error);
        else if (TimeoutError.is(error) || (NoRespondersError.is(error) && min > 0)) {
          if (NoRespondersError.is(error)) settle(error);
          else end();
        } else settle(error);
      },
    };
    const settle = (error: BusError): void => {
      ended = true;
      stop();
      reject(error);
    };
    ask(asking, question).then((forget) => {
      if (ended) forget();
      else stop = forget;
    }, reject);
  });
}

/**
 * The first good answer from any of several topics.
 *
 * @throws the error of the last to fail when none answered well: a `RemoteError` rather than that nobody was there
 */
export async function requestFirst(
  asking: Asking,
  topics: readonly string[],
  data: unknown,
  options: RequestOptions,
): Promise<Reply> {
  const losers = new AbortController();
  const signal =
    options.signal === undefined ? losers.signal : AbortSignal.any([options.signal, losers.signal]);
  const { id: _, ...rest } = options;
  try {
    return await Promise.any(topics.map((topic) => request(asking, topic, data, { ...rest, signal })));
  } catch (error) {
    const errors = (error as AggregateError).errors as BusError[];
    throw (
      errors.find((one) => AbortError.is(one)) ??
      errors.find((one) => RemoteError.is(one)) ??
      errors.find((one) => TimeoutError.is(one)) ??
      errors[0]!
    );
  } finally {
    losers.abort();
  }
}
