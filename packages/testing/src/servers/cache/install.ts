import { access, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './directory.ts';
import { withLock } from './lock.ts';

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Milliseconds after which nobody works on a draft any more: no program that fills one may take nearly as long. */
const ABANDONED = 3_600_000;
/** What `mkdtemp` adds to a name. */
const ADDED = 6;

/** A process that was killed could not remove its draft. */
async function removeAbandoned(cache: string, start: string): Promise<void> {
  for (const name of await readdir(cache).catch(() => [])) {
    if (!name.startsWith(start) || name.length !== start.length + ADDED) continue;
    const draft = join(cache, name);
    const found = await stat(draft).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < ABANDONED) continue;
    await rm(draft, { recursive: true, force: true }).catch(() => {});
  }
}

/**
 * The directory `name` of the cache. The first who asks fills it, others wait, and it is never seen half full: it is made
 * under another name and renamed.
 */
export async function installed(name: string, fill: (directory: string) => Promise<void>): Promise<string> {
  const cache = cacheDirectory();
  const target = join(cache, name);
  await removeAbandoned(cache, `.${name}-`);
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
