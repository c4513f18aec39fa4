import { checkOptions, type Spec } from '../config/check.ts';
import type { Core } from '../core.ts';
import type { Extensions } from '../envelope/record.ts';
import { uuidv7 } from '../envelope/uuid.ts';
import { composeConsume, type Middleware } from '../middleware/middleware.ts';
import { headers, PUBLISH_SPEC, type PublishOptions } from '../publish/options.ts';
import { retryPolicy } from '../retry/policy.ts';
import { DEFAULT_HANDLER_TIMEOUT } from '../subscribe/make-plan.ts';
import type { Message } from '../subscribe/message.ts';
import type { ConsumerPlan } from '../subscribe/plan.ts';
import type { RespondOptions } from './options.ts';
import { writeError } from './remote-error.ts';

type SendOptions = Pick<PublishOptions, 'headers' | 'compress'>;

/** Answers by hand instead of by return value; the first answer counts, later ones are ignored. */
export interface Replier {
  /**
   * Resolves when the broker has taken the answer.
   *
   * @throws {ValidationError} for a wrong option: nothing is answered then
   */
  send(data: unknown, options?: SendOptions): Promise<void>;
  /** The requester gets a `RemoteError`. */
  error(error: unknown): Promise<void>;
}

/** Answers requests: with what it returns or resolves to, with what it throws, or by `reply`. */
// biome-ignore lint/suspicious/noExplicitAny: an untyped bus hands out untyped data
export type RespondHandler<T = any> = (request: Message<T>, reply: Replier) => unknown;

/** Sends one answer. */
export type SendReply = (
  request: Message,
  data: unknown,
  options: PublishOptions,
  extensions: Extensions,
) => Promise<void>;

const SEND_SPEC: Spec<SendOptions> = { headers, compress: PUBLISH_SPEC.compress };

const DEFAULT_CONCURRENCY = 100;

/**
 * The plan of a responder: a consumer of the requests on a topic. Requests are not stored, so nothing is retried here;
 * whatever goes wrong is the answer, and a requester that hears nothing has its deadline.
 */
export function responderPlan(
  pattern: string,
  handler: RespondHandler,
  options: RespondOptions,
  core: Core,
  middleware: readonly Middleware[],
  sendReply: SendReply,
): ConsumerPlan {
  const responder = options.group ?? uuidv7();
  const concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;

  /** A handler that does not wait for it is told by the log; it must not take the process down. */
  const told = (request: Message, send: () => Promise<void>): Promise<void> => {
    const sent = send();
    sent.catch((error: unknown) => notSent(request, error));
    return sent;
  };
  const notSent = ({ topic, id }: Message, error: unknown): void =>
    core.logger.error({ topic, id, err: error }, 'an answer could not be sent');

  const answer = async (request: Message): Promise<void> => {
    let answered = false;
    const once = async (data: unknown, given: PublishOptions, extensions: Extensions): Promise<void> => {
      if (answered) return;
      answered = true;
      await sendReply(request, data, given, extensions);
    };
    const reply: Replier = {
      send: (data, given = {}) =>
        told(request, async () => {
          checkOptions('reply option', given, SEND_SPEC);
          await once(data, given, { responder });
        }),
      error: (error) => told(request, () => once(undefined, {}, { responder, error: writeError(error) })),
    };
    const result = await (middleware.length === 0
      ? handler(request, reply)
      : composeConsume(middleware, (message) => handler(message, reply))(request));
    // A handler that takes `reply` may answer after it has returned.
    if (!answered && (result !== undefined || handler.length < 2)) await once(result, {}, { responder });
  };

  return {
    pattern,
    group: options.group,
    channels: ['request'],
    from: 'new',
    concurrency,
    prefetch: options.prefetch ?? Math.max(64, 2 * concurrency),
    autoAck: true,
    atMostOnce: false,
    transaction: false,
    handlerTimeout: options.handlerTimeout ?? DEFAULT_HANDLER_TIMEOUT,
    retry: retryPolicy(false),
    deadLetter: false,
    circuitBreaker: undefined,
    filter: undefined,
    handle: answer,
    batch: undefined,
    refuse: async (request, error) => {
      try {
        await sendReply(request, undefined, {}, { responder, error: writeError(error) });
      } catch (cause) {
        notSent(request, cause);
      }
    },
  };
}
