import { TimeoutError } from '@ambus/core';
import { apiError, CODES } from './api.ts';
import { infoOf } from './consumers.ts';
import type { Space } from './space.ts';

/** Milliseconds after which a deletion without an answer is looked at, and in all. */
const DELETED_AFTER = 2_000;
const PATIENCE = 15_000;

/** Gone when it resolves. */
export async function deleteConsumer(space: Space, name: string): Promise<void> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    try {
      const { failure } = await space.api.ask(`CONSUMER.DELETE.${space.stream}.${name}`, {}, DELETED_AFTER);
      if (failure === undefined) return;
      if (failure.err_code === CODES.consumerNotFound || failure.err_code === CODES.streamNotFound) return;
      throw apiError(`consumer ${name}`, failure);
    } catch (error) {
      // A cluster does not always answer: the server that leads the consumer goes with it.
      if (!TimeoutError.is(error) || Date.now() > end) throw error;
      if ((await infoOf(space, name)) === undefined) return;
    }
  }
}
