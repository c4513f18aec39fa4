import { ConfigError } from '@ambus/core';
import type { Link } from '../link/link.ts';

/** The releases from which on the server can do something: for each minor version the first patch; later ones can as well. */
type Since = Readonly<Record<number, number>>;

/** Forgets what has a time to live, and all that is tested. */
const OLDEST: Since = { 11: 0 };

/** Holds messages back for their time. */
const SCHEDULES: Since = { 12: 0 };

/**
 * Finds what lies behind messages of other topics by filters of which one has a name where another has a wildcard, as `c.*`
 * and `*.c.*`. Before, a consumer passes it by and does not count it (nats-server#7336, whose mend in 2.11.10 left a part).
 */
const MANY_FILTERS: Since = { 11: 12, 12: 4 };

function isSince(version: string | undefined, since: Since): boolean {
  const [major = 0, minor = 0, patch = 0] = (version ?? '')
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  if (major !== 2) return major > 2;
  const first = since[minor];
  return first === undefined ? minor > Math.max(...Object.keys(since).map(Number)) : patch >= first;
}

export const knowsSchedules = ({ driver }: Link): boolean => isSince(driver.version, SCHEDULES);

export const knowsManyFilters = ({ driver }: Link): boolean => isSince(driver.version, MANY_FILTERS);

/** @throws {ConfigError} where the server is too old; one that does not say what it is may be used */
export function checkVersion(version: string | undefined): void {
  if (version === undefined || isSince(version, OLDEST)) return;
  throw new ConfigError(`the server is nats-server ${version}, at least 2.11 is needed`, { broker: 'nats' });
}
