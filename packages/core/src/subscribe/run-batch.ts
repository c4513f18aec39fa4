import type { IncomingMessage, Message } from './message.ts';
import type { ConsumeMessage } from './options.ts';

/** How a batch is run. */
export interface BatchSteps {
  /** Decodes and filters one message. False when the handler is not to see it; it is settled then. */
  prepare(message: IncomingMessage): Promise<boolean>;
  /** Puts middleware around each message; undefined where there is none. */
  readonly wrap: ((inner: ConsumeMessage) => ConsumeMessage) | undefined;
  handle(messages: readonly Message[]): unknown;
  succeeded(message: IncomingMessage): void;
  failed(message: IncomingMessage, error: unknown): void;
}

/** Runs one batch and reports each message's outcome. Never rejects; resolves to the handler's error, if it threw. */
export async function runBatch(messages: readonly IncomingMessage[], steps: BatchSteps): Promise<unknown> {
  const prepared = await Promise.all(messages.map((message) => steps.prepare(message)));
  // One may have run out of time while another was read.
  const ready = messages.filter(({ phase }, index) => prepared[index] && phase !== 'abandoned');
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
  /** At their places: middleware may take longer for one than for the next. */
  const arrived: (Message | undefined)[] = messages.map(() => undefined);
  const outcome = Promise.withResolvers<void>();
  outcome.promise.catch(() => {});
  const chains = messages.map((message, place) => {
    const atEnd = Promise.withResolvers<void>();
    const chain = (async () => {
      await wrap((inner) => {
        arrived[place] = inner;
        atEnd.resolve();
        return outcome.promise;
      })(message);
    })();
    return { message, chain, ended: Promise.race([atEnd.promise, chain.catch(() => {})]) };
  });
  await Promise.all(chains.map(({ ended }) => ended));
  let failure: unknown;
  try {
    const batch = arrived.filter((message) => message !== undefined);
    if (batch.length > 0) await steps.handle(batch);
    outcome.resolve();
  } catch (error) {
    failure = error;
    outcome.reject(error);
  }
  await Promise.all(
    chains.map(({ message, chain }) =>
      chain.then(
        () => steps.succeeded(message),
        (error: unknown) => steps.failed(message, error),
      ),
    ),
  );
  return failure;
}
