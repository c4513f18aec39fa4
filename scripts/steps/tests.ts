import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { root, tool } from '../run.ts';
import { type Tally, tally } from '../tally.ts';

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; assertionResults: Assertion[] }[];
}

interface Assertion {
  title: string;
  fullName: string;
  status: string;
  failureMessages: string[];
}

/** As many failures as a busy machine can be blamed for; more are the code's. */
const MOST_RUN_AGAIN = 3;

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

/** What is run, and how a failure is taken. */
export interface Choice {
  /** Only these brokers' servers are started; all when empty. */
  brokers: string[];
  /** On clusters and other versions of the servers, too. */
  variants: boolean;
  /** No test has a second chance. */
  strict: boolean;
}

/** Every test but the suite. */
export function unit(choice: Choice): Promise<Tally> {
  const others = [...SUITES, VARIANTS].flatMap((pattern) => ['--exclude', pattern]);
  return vitest(choice, [ALONE, ...others]);
}

/** The suite, on one broker after the other. */
export function conformance(choice: Choice): Promise<Tally> {
  return vitest(choice, [ALONE, ...suites(choice.variants)]);
}

/**
 * Tests of real servers wait for other processes, and on a busy machine one of thousands can miss its deadline. Few
 * that fail are therefore run once more, by themselves: one that fails again is a failure, one that passes is told
 * apart as unsteady, with what it said the first time.
 */
export async function vitest(choice: Choice, chosen: string[]): Promise<Tally> {
  const first = await report(choice, chosen);
  if (!first.report) return tally(0, 1, 'vitest ended without a report');
  const counted = count(first.report, first.code);
  const failed = failures(first.report);
  const few = failed.length === counted.failed && failed.length <= MOST_RUN_AGAIN;
  if (choice.strict || failed.length === 0 || !few) return counted;

  const files = [...new Set(failed.map(({ file }) => file))];
  const titles = failed.map(({ title }) => title.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|');
  const again = await report(choice, [ALONE, ...files, '-t', `(${titles})$`]);
  const passed =
    again.report !== undefined && again.report.numPassedTests >= failed.length && again.code === 0;
  if (!passed) return counted;
  return { ...counted, passed: counted.passed + failed.length, failed: 0, unsteady: failed.length };
}

/** Vitest's output is shown while it runs, for it takes longest. */
async function report(choice: Choice, chosen: string[]): Promise<{ code: number; report?: Report }> {
  const folder = mkdtempSync(join(tmpdir(), 'ambus-tests-'));
  try {
    const file = join(folder, 'report.json');
    const args = ['run', ...chosen, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const env = choice.brokers.length > 0 ? { AMB_BROKERS: choice.brokers.join(',') } : {};
    const { code } = await tool('vitest', 'vitest', args, { live: true, env });
    return existsSync(file) ? { code, report: JSON.parse(readFileSync(file, 'utf8')) } : { code };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Failure {
  file: string;
  title: string;
  name: string;
  message: string;
}

function failures(report: Report): Failure[] {
  return report.testResults.flatMap(({ name: file, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ title, fullName: name, failureMessages }) => ({
        file,
        title,
        name,
        message: ours(failureMessages),
      })),
  );
}

/** Without the frames of the test runner. */
function ours(messages: string[]): string {
  const lines = messages.join('\n').split('\n');
  return lines.filter((line) => !/^\s+at .*(node_modules|new Promise)/.test(line)).join('\n');
}

/** @internal Exported for its test. */
export function count(report: Report, code: number): Tally {
  // A file that fails to load, or whose hook fails, can have no failed test to show for it.
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = report.numFailedTests + broken.length;
  const skipped = report.numPendingTests + report.numTodoTests;
  const details = [
    ...broken.map((file) => `${file.name} did not run`),
    ...failures(report).map(({ file, name, message }) => `${relative(root, file)}: ${name}\n${message}`),
  ].join('\n');
  // An error outside of any test, such as an unhandled rejection, shows only in the exit code.
  if (code !== 0 && failed === 0) return tally(report.numPassedTests, 1, 'vitest failed', skipped);
  return tally(report.numPassedTests, failed, details, skipped);
}
