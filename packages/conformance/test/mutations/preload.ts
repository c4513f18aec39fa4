// Loaded before anything else by a process that is to run on a broken core: replaces one piece of one source file.
import { registerHooks } from 'node:module';
import type { Mutation } from './mutations.ts';

const { file, find, replace } = JSON.parse(process.env.AMBUS_MUTATION ?? '{}') as Mutation;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/packages/core/src/${file}`)) return loaded;
    const parts = String(loaded.source).split(find);
    if (parts.length !== 2)
      throw new Error(`"${find}" stands ${parts.length - 1} times in ${file}, not once`);
    return { ...loaded, source: parts.join(replace) };
  },
});
