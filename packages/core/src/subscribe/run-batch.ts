import { LeaseLostError } from '../errors.ts';
import type { IncomingMessage, Message } from './message.ts';
import type { ConsumeMessage } from './options.ts';

/** How a batch is run. */
export interface BatchSteps {
  /** Decodes and filters one message. False when the handler is not to see it; it is settled then. */
  prepare(message: IncomingMessage): Promise<boolean>;
  /** Which of those that are prepared are still to be handled. */
  begin(prepared: readonly IncomingMessage[]): readonly IncomingMessage[];
  /** Puts middleware around each message; undefined where there is none. */
  readonly wrap: ((inner: ConsumeMessage) => ConsumeMessage) | undefined;
  handle(messages: readonly Message[]): unknown;
  succeeded(message: IncomingMessage): void;
  failed(message: IncomingMessage, error: unknown): void;
}

/** Runs one batch and reports each message's outcome. Never rejects; resolves to the handler's error, if it threw. */
export async function runBatch(messages: readonly IncomingMessage[], steps: BatchSteps): Promise<unknown> {
  const isWanted = await Promise.all(messages.map((message) => steps.prepare(message)));
  const ready = steps.begin(messages.filter((_, place) => isWanted[place]));
  if (ready.length === 0) return undefined;
  return steps.wrap === undefined ? runPlain(ready, steps) : runWrapped(ready, steps, steps.wrap);
}

async function runPlain(messages: readonly IncomingMessage[], steps: BatchSteps): Promise<unknown> {
  try {
    await steps.handle(messages);
    for (const message of messages) steps.succeeded(message);
    return undefined;
  } catch (error) {
    for (const message of messages) steps.failed(message, error);
    return error;
  }
}

/**
 * Middleware sees one message at a time, the handler all of them: each message's chain waits at its inner end until all
 * have arrived there (or have ended before), then the batch is handled, and the chains go on with its outcome.
 */
async function runWrapped(
  messages: readonly IncomingMessage[],
  steps: BatchSteps,
  wrap: (inner: ConsumeMessage) => ConsumeMessage,
): Promise<unknown> {
  const chains = messages.map((message) => {
    const atEnd = Promise.withResolvers<Message | undefined>();
    const outcome = Promise.withResolvers<void>();
    outcome.promise.catch(() => {});
    const run = async (): Promise<void> =>
      wrap((inner) => {
        atEnd.resolve(inner);
        return outcome.promise;
      })(message) as Promise<void>;
    const ended = run()
      .then(
        () => steps.succeeded(message),
        (error: unknown) => {
          chain.hasFailed = true;
          steps.failed(message, error);
        },
      )
      .finally(() => atEnd.resolve(undefined));
    const chain = { message, arrived: atEnd.promise, outcome, ended, hasFailed: false };
    return chain;
  });
  const arrived = await Promise.all(chains.map((chain) => chain.arrived));
  const batch: Message[] = [];
  for (const [place, { message, outcome, hasFailed }] of chains.entries()) {
    const inner = arrived[place];
    if (inner === undefined) continue;
    // It ran out of time here, or waits for another of its key.
    if (hasFailed || message.phase === 'abandoned') outcome.reject(leaseLost(message));
    else batch.push(inner);
  }
  let failure: unknown;
  try {
    if (batch.length > 0) await steps.handle(batch);
    for (const { outcome } of chains) outcome.resolve();
  } catch (error) {
    failure = error;
    for (const { outcome } of chains) outcome.reject(error);
  }
  await Promise.all(chains.map(({ ended }) => ended));
  return failure;
}

function leaseLost({ id, topic }: IncomingMessage): LeaseLostError {
  return new LeaseLostError(`message ${id} is no longer in the batch that its middleware began with`, {
    topic,
  });
}
