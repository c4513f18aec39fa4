import type { Manifest } from '../packages.ts';

export interface Usage {
  esm: string;
  cjs: string;
  types: string;
}

/** Programs that load every entry point of a package; those that load core also send a message. */
export function usage({ name, exports }: Manifest): Usage {
  const entries = Object.keys(exports).map((path) => name + path.slice(1));
  const loads = entries.map((entry) => `check('${entry}', await import('${entry}'));`);
  // Vitest refuses `require`; its entry points have CommonJS types for projects that are compiled to it.
  const requirable = entries.filter((entry) => !entry.endsWith('/vitest'));
  const requires = requirable.map((entry) => `check('${entry}', require('${entry}'));`);
  const imports = entries.map((entry, index) => `import * as entry${index} from '${entry}';`);
  const values = entries.map((_, index) => `entry${index}`).join(', ');
  return {
    esm: [CHECK, ...loads, `const { createBus } = await import('@ambus/core');`, USE].join('\n'),
    cjs: [CHECK, ...requires, `const { createBus } = require('@ambus/core');`, USE_LATER].join('\n'),
    types: [...imports, `export const entries: object[] = [${values}];`, TYPED].join('\n'),
  };
}

const CHECK = `function check(name, loaded) {
  if (Object.keys(loaded).length === 0) throw new Error(name + ' exports nothing');
}`;

const USE = `const bus = await createBus({ broker: 'memory' });
const got = Promise.withResolvers();
await bus.subscribe('install.*', (message) => got.resolve(message.data));
await bus.publish('install.test', { works: true });
if (!(await got.promise).works) throw new Error('the message came back changed');
await bus.close();`;

const USE_LATER = `(async () => {
${USE}
})();`;

const TYPED = `import { createBus } from '@ambus/core';
export async function use(): Promise<void> {
  const bus = await createBus({ broker: 'memory' });
  await bus.subscribe('install.*', async (message) => {
    const topic: string = message.topic;
    console.log(topic);
  });
  await bus.publish('install.test', { works: true });
  await bus.close();
}`;
