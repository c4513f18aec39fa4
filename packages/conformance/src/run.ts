import type { Capabilities, Support } from '@ambus/core';
import { type Case, CHAPTERS, type Chapter } from './case.ts';
import { suite } from './chapters/index.ts';
import { CaseContext, type LogEntry, PATIENCE } from './context.ts';
import { type ConformanceSetup, powersOf } from './setup.ts';

/** How a case ended on a broker. */
export type Outcome =
  /** Shown, over what the server itself offers. */
  | 'native'
  /** Shown, over what the broker package adds. */
  | 'emulated'
  /** The broker says that it does not offer it, and refuses it properly. */
  | 'not offered'
  /** Not run: the setup has no control over a server. */
  | 'needs a server'
  | 'failed';

/** One line of the report. */
export interface CaseResult {
  readonly id: string;
  readonly chapter: Chapter;
  readonly name: string;
  readonly outcome: Outcome;
  /** Milliseconds. */
  readonly duration: number;
  /** Why it failed, was not offered, or did not run. */
  readonly reason?: string;
  /** What the case counted. */
  readonly notes?: Readonly<Record<string, number | string>>;
}

/** A case made ready for one broker. */
export interface PreparedCase {
  /** `chapter/what-it-shows`. */
  readonly id: string;
  readonly chapter: Chapter;
  /** A sentence that is true when the case passes. */
  readonly name: string;
  /** Milliseconds. */
  readonly timeout: number;
  /** Set where the case cannot run: what the setup lacks. */
  readonly skipped: string | undefined;
  /** Runs it; rejects when it does not hold. */
  run(): Promise<CaseResult>;
}

const DEFAULT_TIMEOUT = 20_000;

/** All cases of the suite for one broker, for any runner. */
export async function prepare(setup: ConformanceSetup): Promise<readonly PreparedCase[]> {
  const probe = await setup.create();
  const { capabilities } = probe;
  await probe.close();
  const powers = powersOf(setup);
  const { chapters = CHAPTERS, additional = [] } = setup;
  return [...suite, ...additional]
    .filter(({ id }) => chapters.includes(chapterOf(id)))
    .map((one) => prepareCase(one, setup, capabilities, powers))
    .filter(({ skipped }) => skipped === undefined || setup.variant === undefined);
}

function chapterOf(id: string): Chapter {
  return id.slice(0, id.indexOf('/')) as Chapter;
}

function prepareCase(
  one: Case,
  setup: ConformanceSetup,
  capabilities: Capabilities,
  powers: ReadonlySet<string>,
): PreparedCase {
  const supports = (one.needs ?? []).map((feature) => ({
    feature,
    support: capabilities[feature] as Support,
  }));
  const missing = supports.find(({ support }) => support === 'none')?.feature;
  const lacking: string[] = (one.power ?? []).filter((power) => !powers.has(power));
  if (one.isolated === true && setup.isolate === undefined) lacking.push('one of its own');
  const slowness = Math.max(1, (setup.patience ?? PATIENCE) / PATIENCE);
  const { id, name, timeout = DEFAULT_TIMEOUT * slowness } = one;
  const about = { id, name, chapter: chapterOf(id) };
  const skipped = lacking.length > 0 ? `needs a server (${lacking.join(', ')})` : undefined;
  const outcome: Outcome =
    missing !== undefined
      ? 'not offered'
      : supports.some(({ support }) => support === 'emulated')
        ? 'emulated'
        : 'native';

  const run = async (): Promise<CaseResult> => {
    const start = performance.now();
    const body = missing === undefined ? one.run : one.refused;
    const own = one.isolated === true ? await setup.isolate?.() : undefined;
    const t = new CaseContext(own ?? setup, capabilities);
    try {
      await withTimeout(Promise.resolve(body?.call(one, t)), timeout, id);
      await t.close();
    } catch (error) {
      const log = t.log.filter(({ level }) => level !== 'debug').slice(-5);
      await t.close().catch(() => {});
      throw log.length === 0
        ? error
        : new Error(`${(error as Error).message}\nlog: ${log.map(told).join(' | ')}`, { cause: error });
    } finally {
      await own?.close?.();
    }
    const reason = missing === undefined ? undefined : { reason: `capability ${missing} is none` };
    const notes = Object.keys(t.notes).length === 0 ? undefined : { notes: t.notes };
    return { ...about, outcome, duration: performance.now() - start, ...reason, ...notes };
  };
  return { ...about, timeout, skipped, run };
}

/** With the stack of what it was made from: that one shows where the case failed. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

/** A line of a bus's log, with its error: "subscription ended" alone tells nobody why. */
function told({ message, fields }: LogEntry): string {
  const { err } = fields as { readonly err?: unknown };
  return err instanceof Error ? `${message} (${err.message})` : message;
}

async function withTimeout(work: Promise<void>, timeout: number, id: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`case ${id} took longer than ${timeout} ms`)), timeout);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs one prepared case and never rejects. */
export async function runCase(prepared: PreparedCase): Promise<CaseResult> {
  const { id, chapter, name, skipped } = prepared;
  if (skipped !== undefined)
    return { id, chapter, name, outcome: 'needs a server', duration: 0, reason: skipped };
  const start = performance.now();
  try {
    return await prepared.run();
  } catch (error) {
    const reason = stackOf(error);
    return { id, chapter, name, outcome: 'failed', duration: performance.now() - start, reason };
  }
}

/** Options of `runConformance`. */
export interface RunOptions {
  /** Cases at a time. Default 8. */
  readonly concurrency?: number;
  /** Only cases whose id contains this. */
  readonly only?: string;
  /** Called after each. */
  readonly report?: (result: CaseResult) => void;
}

/** Runs the whole suite without a test runner, and returns how each case ended, in the order of the chapters. */
export async function runConformance(
  setup: ConformanceSetup,
  options: RunOptions = {},
): Promise<readonly CaseResult[]> {
  const { concurrency = 8, only = '', report } = options;
  const cases = (await prepare(setup)).filter(({ id }) => id.includes(only));
  const queue = shuffle([...cases]);
  const results: CaseResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const result = await runCase(next);
      results.push(result);
      report?.(result);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const place = (result: CaseResult): number =>
    CHAPTERS.indexOf(result.chapter) * 10_000 + cases.findIndex(({ id }) => id === result.id);
  return results.sort((a, b) => place(a) - place(b));
}

function shuffle<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
