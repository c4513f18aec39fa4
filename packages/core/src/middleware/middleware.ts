import { ConfigError } from '../errors.ts';
import type { PublishOptions } from '../publish/options.ts';
import type { Receipt } from '../publish/receipt.ts';
import type { Reply } from '../request/requester.ts';
import type { Message } from '../subscribe/message.ts';
import type { ConsumeMessage } from '../subscribe/options.ts';

/** A message on its way out. What a middleware changes here is what is sent. */
export interface Outgoing {
  topic: string;
  data: unknown;
  options: PublishOptions;
  /** What is being sent. */
  readonly kind: 'publish' | 'request' | 'reply';
}

/**
 * Wraps publishing, handling or both. The first one added is the outermost.
 *
 * - Not calling `next` short-circuits: nothing is sent, or the handler does not run and the message counts as handled.
 * - An error, thrown before or after `next`, is the publish's or the handler's error.
 */
export interface Middleware {
  /** For errors and logs. */
  readonly name?: string;
  /** Returns what `next` resolved to, or a receipt of its own when it short-circuits. */
  publish?(outgoing: Outgoing, next: () => Promise<Receipt>): Promise<Receipt>;
  /**
   * Handles a message on its way in; a batch handler's messages come one by one, each before its batch.
   *
   * @param next - goes on with the message, or with one in its place (`message.with({ data })`). What it resolves to is
   * what the handler returned: a responder's answer.
   */
  consume?(message: Message, next: (message?: Message) => Promise<unknown>): Promise<unknown>;
  /**
   * An answer on its way in to the one who asked: returns it, or one in its place. Runs from the last middleware added to
   * the first, the reverse of how the answer went out.
   */
  reply?(reply: Reply): Reply | Promise<Reply>;
}

type Publish = (outgoing: Outgoing) => Promise<Receipt>;

/** Wraps `send` in the middleware's `publish` hooks; returns it as it is where there are none. */
export function composePublish(middleware: readonly Middleware[], send: Publish): Publish {
  return middleware.reduceRight<Publish>(
    (inner, layer) =>
      layer.publish === undefined
        ? inner
        : (outgoing) =>
            layer.publish!(
              outgoing,
              once(() => inner(outgoing), layer),
            ),
    send,
  );
}

/** Wraps `handle` in the middleware's `consume` hooks; returns it as it is where there are none. */
export function composeConsume(middleware: readonly Middleware[], handle: ConsumeMessage): ConsumeMessage {
  return middleware.reduceRight<ConsumeMessage>(
    (inner, layer) =>
      layer.consume === undefined
        ? inner
        : (message) =>
            layer.consume!(
              message,
              once(async (changed?: Message) => inner(changed ?? message), layer),
            ),
    handle,
  );
}

/** A second `next` would send or handle twice. */
function once<A extends unknown[], R>(
  next: (...args: A) => Promise<R>,
  layer: Middleware,
): (...args: A) => Promise<R> {
  let called = false;
  return async (...args) => {
    if (called) throw new ConfigError(`middleware ${layer.name ?? '(unnamed)'} called next() twice`);
    called = true;
    return next(...args);
  };
}
