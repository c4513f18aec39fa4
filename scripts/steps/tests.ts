import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, tool } from '../run.ts';
import { type Tally, tally } from '../tally.ts';

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: { status: string }[] }[];
}

/** Where the suite runs: on each broker, and on the other forms of its server. */
const SUITES: readonly string[] = [
  'packages/conformance/test/memory.test.ts',
  'packages/*/test/conformance.test.ts',
];
const VARIANTS = 'packages/*/test/conformance-*.test.ts';

/**
 * The files in which the suite runs on each broker.
 *
 * @param variants - on clusters and other versions, too
 */
export function suites(variants: boolean): string[] {
  return globSync([...SUITES, ...(variants ? [VARIANTS] : [])], { cwd: root });
}

/** One file after the other: most wait for servers and other processes, and nothing is to compete with their timing. */
const ALONE = '--no-file-parallelism';

/** Every test but the suite. */
export function unit(brokers: string[]): Promise<Tally> {
  const others = [...SUITES, VARIANTS].flatMap((pattern) => ['--exclude', pattern]);
  return vitest(brokers, [ALONE, ...others]);
}

/** The suite, on one broker after the other. */
export function conformance(brokers: string[], variants: boolean): Promise<Tally> {
  return vitest(brokers, [ALONE, ...suites(variants)]);
}

/** Vitest's output is shown while it runs, for it takes longest. */
export async function vitest(brokers: string[], chosen: string[]): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'ambus-tests-'));
  try {
    const report = join(folder, 'report.json');
    const args = ['run', ...chosen, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const env = brokers.length > 0 ? { AMB_BROKERS: brokers.join(',') } : {};
    const { code } = await tool('vitest', 'vitest', args, { live: true, env });
    if (!existsSync(report)) return tally(0, 1, 'vitest ended without a report');
    return count(JSON.parse(readFileSync(report, 'utf8')), code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @internal Exported for its test. */
export function count(report: Report, code: number): Tally {
  // A file that fails to load, or whose hook fails, can have no failed test to show for it.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = report.numFailedTests + broken.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  const details = broken.map((file) => `${file.name} did not run`).join('\n');
  // An error outside of any test, such as an unhandled rejection, shows only in the exit code.
  if (code !== 0 && failed === 0) return tally(report.numPassedTests, 1, 'vitest failed', skipped);
  return tally(report.numPassedTests, failed, details, skipped);
}
