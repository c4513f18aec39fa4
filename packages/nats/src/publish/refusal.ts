import { type BusError, type BusRecord, MessageTooLargeError, QueueFullError } from '@ambus/core';
import { type ApiFailure, apiError, CODES, isPassing } from '../server/api.ts';

/** JetStream's codes for a stream, or a server, that is full. */
const FULL: ReadonlySet<number> = new Set([10023, 10047, 10077]);
const TOO_LARGE = 10054;

/**
 * Whether it may be taken in a moment. A duplicate of what is being stored is one when that is; if it fails, this one is the
 * first.
 */
export const isBusy = (failure: ApiFailure): boolean =>
  isPassing(failure) || failure.err_code === CODES.duplicateInProcess;

/** What the server's no to a message is to the bus. */
export function refusal({ topic, body }: BusRecord, failure: ApiFailure): BusError {
  const context = { topic, broker: 'nats' };
  const { err_code: code, description } = failure;
  if (FULL.has(code))
    return new QueueFullError(`nats: no room for a message for "${topic}": ${description}`, context);
  if (code === TOO_LARGE) {
    return new MessageTooLargeError(
      `nats: ${description} (topic "${topic}")`,
      body.length,
      body.length - 1,
      context,
    );
  }
  return apiError(`a message for "${topic}"`, failure);
}
