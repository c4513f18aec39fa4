import type { Core } from '../core.ts';
import { uuidv7 } from '../envelope/uuid.ts';
import { AbortError, NoRespondersError, RemoteError, ScatterError, TimeoutError } from '../errors.ts';
import type { PublishOptions } from '../publish/options.ts';
import type { RequestOptions, ScatterOptions } from './options.ts';
import type { Expectation, Reply, Requester, Waiting } from './requester.ts';

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

interface Prepared extends Waiting {
  readonly replyTo: string;
  readonly options: PublishOptions;
}

/** At once where the inbox is open: this runs for every request. */
function prepare(asking: Asking, topic: string, options: RequestOptions): Prepared | Promise<Prepared> {
  const { timeout = asking.defaultTimeout, signal, ...rest } = options;
  if (signal?.aborted) {
    throw new AbortError(`the request on "${topic}" was aborted`, { topic, cause: signal.reason });
  }
  const deadline = asking.core.clock.now() + timeout;
  const prepared = (replyTo: string): Prepared => {
    const id = options.id ?? uuidv7(asking.core.clock.now());
    return { topic, id, timeout, deadline, signal, replyTo, options: { ...rest, id } };
  };
  const address = asking.requester.address(topic, timeout, signal);
  return typeof address === 'string' ? prepared(address) : address.then(prepared);
}

/** Sends a request and passes on what comes back, until the returned function is called. */
function ask(asking: Asking, prepared: Prepared, data: unknown, expectation: Expectation): () => void {
  const { core, requester } = asking;
  const { topic, id, deadline, replyTo, options } = prepared;
  requester.expect(prepared, expectation);
  core.stats.requests++;
  const stop = (): void => requester.forget(id);
  asking.send(topic, data, options, { replyTo, expiresAt: deadline }).catch((error: unknown) => {
    stop();
    expectation.failed(error, undefined);
  });
  return stop;
}

/** The first answer, or the error of who answered. */
export async function request(
  asking: Asking,
  topic: string,
  data: unknown,
  options: RequestOptions,
): Promise<Reply> {
  const preparing = prepare(asking, topic, options);
  const prepared = preparing instanceof Promise ? await preparing : preparing;
  return new Promise((resolve, reject) => {
    const stop = ask(asking, prepared, data, {
      reply: (reply) => {
        stop();
        resolve(reply);
      },
      failed: (error) => {
        stop();
        reject(error);
      },
    });
  });
}

/**
 * Answers of many: one per responder group and per ungrouped responder, until `max` have come or the deadline.
 *
 * @throws {ScatterError} when fewer than `min` came, with those that did
 */
export async function scatter(
  asking: Asking,
  topic: string,
  data: unknown,
  options: ScatterOptions,
): Promise<Reply[]> {
  const { min = 1, max = Number.POSITIVE_INFINITY, ...rest } = options;
  const prepared = await prepare(asking, topic, rest);
  const replies: Reply[] = [];
  const refusals: unknown[] = [];
  let isOver = false;
  const failure = await new Promise<unknown>((end) => {
    const stop = ask(asking, prepared, data, {
      reply: (reply) => {
        // It took its time to be read.
        if (isOver) return;
        if (replies.push(reply) < max) return;
        isOver = true;
        stop();
        end(undefined);
      },
      failed: (error, responder) => {
        if (responder !== undefined) refusals.push(error);
        // The deadline is how a scatter without `max` ends; that nobody is there is no error when nobody is needed.
        else end(TimeoutError.is(error) || (NoRespondersError.is(error) && min === 0) ? undefined : error);
      },
    });
  });
  isOver = true;
  if (failure !== undefined) throw failure;
  if (replies.length >= min) return replies;
  const errors = refusals.length === 0 ? '' : `, and ${refusals.length} errors`;
  throw new ScatterError(
    `${replies.length} of at least ${min} answers came on "${topic}"${errors}`,
    replies,
    {
      topic,
      cause: refusals.length === 0 ? undefined : new AggregateError(refusals, 'responders that failed'),
    },
  );
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
    const { errors } = error as AggregateError;
    const telling = [AbortError, RemoteError, TimeoutError].map((type) => errors.find((one) => type.is(one)));
    throw telling.find((one) => one !== undefined) ?? errors[0];
  } finally {
    losers.abort();
  }
}
