import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';

const folder = import.meta.dirname;
const examples = readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));

/** What a reader has around the program: no test runner, and no configuration. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(AMB_|VITEST|NODE_ENV$|NODE_OPTIONS$|TEST$)/.test(name)),
);

/** All of them load the same sources: compiled once they start three times as fast. */
const cache = join(folder, '../../node_modules/.cache/examples');

async function run(example: string): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const child = spawn(process.execPath, ['--conditions=@ambus/source', join(folder, example)], {
    env: { ...environment, NO_COLOR: '1', NODE_COMPILE_CACHE: cache },
  });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { stdout, stderr, code };
}

// A process each: a slow machine needs its time.
vi.setConfig({ testTimeout: 60_000 });

// `await using`, which most of them have, is syntax that Node knows from 24 on; compilers translate it for older ones.
describe.skipIf(Number.parseInt(process.versions.node, 10) < 24)('examples', () => {
  it.concurrent.for(examples)('%s prints what its page shows, and ends', async (example, { expect }) => {
    const { stdout, stderr, code } = await run(example);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    await expect(stdout).toMatchFileSnapshot(join(folder, example.replace(/\.ts$/, '.txt')));
  });
});

// READMEs cannot include files. Which of their programs must be which file, by its place in the README:
it.each([
  ['README.md', 0, 'quick-start.ts'],
  ['packages/core/README.md', 0, 'first-message.ts'],
  ['packages/conformance/README.md', 2, 'toy/additional.ts'],
] as const)('shows in %s, program %i, what is in %s', (readme, place, example) => {
  const text = readFileSync(join(folder, '../..', readme), 'utf8');
  const programs = [...text.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]);
  expect(programs[place]).toBe(readFileSync(join(folder, example), 'utf8'));
});
