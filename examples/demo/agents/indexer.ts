import type { Bus, Subscription } from '@ambus/core';
import { countWords, readText } from '../files.ts';
import type { Indexed, Topics } from '../topics.ts';

/**
 * Reads and indexes files. All indexers are in one group: each file goes to one of them.
 *
 * A file that cannot be indexed makes the handler throw. What becomes of that is not decided here: the bus tries again as
 * its retry policy says, then puts the message aside as a dead letter.
 */
export function startIndexer(bus: Bus<Topics>, root: string): Promise<Subscription> {
  return bus.subscribe(
    'files.*.found',
    async (message) => {
      const { path, kind, readAs } = message.data;
      const text = await readText(root, path, readAs);
      const indexed: Indexed = {
        path,
        kind,
        lines: text.split('\n').length,
        words: countWords(`${path} ${text}`),
      };
      // Published through the message, it carries on where it came from: `causationId`, `correlationId`, trace.
      await message.publish(`files.${kind}.indexed`, indexed);
    },
    { group: 'indexers', concurrency: 8 },
  );
}
