import type { Context } from '../context.ts';
import { SCRIPTS } from '../scripts/index.ts';

/** Milliseconds between two looks at what nobody publishes to any more, and at a server that is too full for publishing. */
export const TRIM_EVERY = 60_000;
/** Most topics that one script looks at: it holds up everybody else meanwhile. */
const MAX_TOPICS = 64;

/** Removes what is beyond the retention in one shard, unless another bus has just done so. */
export async function trimShard({ session, names, settings }: Context, tag: string): Promise<void> {
  const before = [names.root, settings.trimUnacked ? 1 : 0];
  const topics = (await session.run(SCRIPTS.trimmable, tag, [...before, TRIM_EVERY / 2])) as Buffer[];
  while (topics.length > 0) {
    const args = [...before, ...topics.splice(0, MAX_TOPICS)];
    topics.push(...((await session.run(SCRIPTS.trim, tag, args)) as Buffer[]));
  }
}
