import { dirname } from 'node:path/posix';
import type { Bus } from '@ambus/core';
import { kindOf, walk } from '../files.ts';
import type { Found, Topics } from '../topics.ts';

/**
 * Publishes every file under `root`, a directory at a time. Files of one directory share a key, so that they are indexed
 * in order; different directories go on side by side.
 *
 * @returns how many
 */
export async function crawl(bus: Bus<Topics>, root: string, signal: AbortSignal): Promise<number> {
  let found = 0;
  for await (const paths of walk(root)) {
    signal.throwIfAborted();
    const entries = paths.map((path) => {
      const kind = kindOf(path);
      const data: Found = { path, kind, readAs: 'utf-8' };
      return { topic: `files.${kind}.found`, data, key: dirname(path).slice(-256) };
    });
    await bus.publishMany(entries);
    found += entries.length;
  }
  return found;
}
