// Everything that a change has to pass, in one command:
//
//   npm test                              all of it
//   npm test -- --broker memory           without packaging, and with the conformance of this broker only
//   npm test -- --variants                also on clusters and other versions of the servers
//   npm test -- --strict                  a test that fails has no second chance
//   npm test -- packages/core/test/topic  only these test files
//
// At the end stands what failed, once more, and as the last line the sum over all steps. "Unsteady" is a test that
// failed and then passed by itself.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packAll } from './packages.ts';
import { tool } from './run.ts';
import { install } from './steps/install.ts';
import { publishing } from './steps/publishing.ts';
import { conformance, unit, vitest } from './steps/tests.ts';
import { one, sum, summary, type Tally, tally } from './tally.ts';

const { values, positionals: files } = parseArgs({
  options: {
    broker: { type: 'string', multiple: true, default: [] },
    variants: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const brokers = values.broker.flatMap((names) => names.split(','));
const choice = { brokers, variants: values.variants, strict: values.strict };
const tallies: Tally[] = [];

async function step(name: string, work: () => Promise<Tally>): Promise<boolean> {
  const start = performance.now();
  const result = await work().catch((error: unknown) => tally(0, 1, String(error)));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  tallies.push(result);
  if (result.details) console.log(`\n${result.details.trimEnd()}\n`);
  console.log(`${result.failed > 0 ? '✗' : '✓'} ${name.padEnd(16)} ${summary(result)} (${seconds} s)`);
  return result.failed === 0;
}

async function tests(): Promise<void> {
  await step('tests', () => unit(choice));
  await step('conformance', () => conformance(choice));
}
const lint = () => step('lint', async () => one(await tool('@biomejs/biome', 'biome', ['check'])));
const types = () => step('types', async () => one(await tool('typescript', 'tsc', [])));
const build = () =>
  step('build', async () => one(await tool('turbo', 'turbo', ['run', 'build', '--output-logs=errors-only'])));

async function packaging(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ambus-packages-'));
  try {
    const packed = packAll(folder);
    await Promise.all([
      step('published files', async () => publishing(await packed)),
      step('install', async () => install(await packed, folder)),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (files.length > 0) {
  await step('tests', () => vitest(choice, files));
} else if (brokers.length > 0) {
  await Promise.all([lint(), types()]);
  await tests();
} else {
  const [, , built] = await Promise.all([lint(), types(), build()]);
  // Alone, so that nothing competes with its timing.
  await tests();
  if (built) await packaging();
}

const total = sum(tallies);
if (total.details) console.log(`\n${total.details.trimEnd()}\n`);
console.log(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;
