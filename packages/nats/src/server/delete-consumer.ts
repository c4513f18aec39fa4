import { TimeoutError } from '@ambus/core';
import { apiError, CODES } from './api.ts';
import { infoOf } from './consumers.ts';
import type { Space } from './space.ts';

/** Milliseconds after which a deletion without an answer is looked at, and between two looks. */
const LOOK_AFTER = 2_000;
const LOOK_AGAIN = 500;
/**
 * Milliseconds after which it is asked for again, and in all. Late, since a request that only waited in the server would
 * meet what somebody has made of the same name by then.
 */
const ASK_AFTER = 6_000;
const PATIENCE = 15_000;

/**
 * As `deleteConsumer`, for a name that others use: where nothing is there nothing is asked for, which would wait in a busy
 * server and meet what they make meanwhile.
 *
 * @returns whether it was there
 */
export async function deleteIfThere(space: Space, name: string): Promise<boolean> {
  if ((await infoOf(space, name)) === undefined) return false;
  await deleteConsumer(space, name);
  return true;
}

/** Gone when it resolves. */
export async function deleteConsumer(space: Space, name: string): Promise<void> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const asked = Date.now();
    try {
      const { failure } = await space.api.ask(`CONSUMER.DELETE.${space.stream}.${name}`, {}, LOOK_AFTER);
      if (failure === undefined) return;
      if (failure.err_code === CODES.consumerNotFound || failure.err_code === CODES.streamNotFound) return;
      throw apiError(`consumer ${name}`, failure);
    } catch (error) {
      // A cluster does not always answer: the server that leads the consumer goes with it.
      if (!TimeoutError.is(error) || Date.now() > end) throw error;
      while (Date.now() - asked < ASK_AFTER) {
        if ((await infoOf(space, name)) === undefined) return;
        await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN).unref());
      }
    }
  }
}
