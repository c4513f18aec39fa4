import type { StartPosition } from '../broker.ts';
import type { Clock } from '../clock.ts';
import { ValidationError } from '../errors.ts';

/** Milliseconds by which the clocks of two machines may differ. */
const SKEW = 60_000;

/**
 * Where to start. No broker can wait for a date to come; one that lies ahead of this clock by no more than clocks differ
 * is now.
 *
 * @param what - where the date was given
 * @throws {ValidationError} for a date in the future
 */
export function startFrom(what: string, from: StartPosition, clock: Clock): StartPosition {
  if (!(from instanceof Date)) return from;
  const ahead = from.getTime() - clock.now();
  if (ahead <= 0) return from;
  if (ahead <= SKEW) return 'new';
  throw new ValidationError(
    `${what} must be "new", "earliest" or a date that has passed, not ${from.toISOString()}`,
  );
}
