import { TimeoutError } from '@ambus/core';
import { apiError, CODES } from './api.ts';
import { infoOf } from './consumers.ts';
import type { Space } from './space.ts';

/** Milliseconds after which a deletion without an answer is looked at. */
const DELETED_AFTER = 2_000;

function unlessTimeout(error: unknown): undefined {
  if (!TimeoutError.is(error)) throw error;
}

/** Gone when it resolves. */
export async function deleteConsumer(space: Space, name: string): Promise<void> {
  const subject = `CONSUMER.DELETE.${space.stream}.${name}`;
  let answer = await space.api.ask(subject, {}, DELETED_AFTER).catch(unlessTimeout);
  // A cluster does not always answer: the server that leads the consumer goes with it.
  if (answer === undefined) {
    if ((await infoOf(space, name)) === undefined) return;
    answer = await space.api.ask(subject);
  }
  const { failure } = answer;
  if (failure === undefined) return;
  if (failure.err_code === CODES.consumerNotFound || failure.err_code === CODES.streamNotFound) return;
  throw apiError(`consumer ${name}`, failure);
}
