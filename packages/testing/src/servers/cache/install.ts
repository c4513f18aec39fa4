import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './directory.ts';
import { withLock } from './lock.ts';

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * The directory `name` of the cache. The first who asks fills it, others wait, and it is never seen half full: it is made
 * under another name and renamed.
 */
export async function installed(name: string, fill: (directory: string) => Promise<void>): Promise<string> {
  const cache = cacheDirectory();
  const target = join(cache, name);
  if (await isThere(target)) return target;
  await mkdir(cache, { recursive: true });
  await withLock(`${target}.lock`, async () => {
    if (await isThere(target)) return;
    const draft = await mkdtemp(join(cache, `.${name}-`));
    try {
      await fill(draft);
      await rename(draft, target).catch(async (error) => {
        if (!(await isThere(target))) throw error;
      });
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  });
  return target;
}
