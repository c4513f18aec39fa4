import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where downloaded servers are kept: `AMBUS_CACHE`, else the user's cache directory. */
export function cacheDirectory(): string {
  const { AMBUS_CACHE, XDG_CACHE_HOME } = process.env;
  return AMBUS_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'ambus');
}
