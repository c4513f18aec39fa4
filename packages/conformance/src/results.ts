import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CaseResult } from './run.ts';
import { type ConformanceSetup, titleOf } from './setup.ts';

/** A run on one broker, as it is stored. */
export interface ConformanceResults {
  readonly broker: string;
  readonly variant?: string;
  readonly version: string;
  readonly started: string;
  readonly node: string;
  readonly results: readonly CaseResult[];
}

/** Writes `<folder>/<broker>.json`, or `<broker>-<variant>.json`. */
export async function writeResults(
  folder: string,
  setup: ConformanceSetup,
  results: readonly CaseResult[],
): Promise<void> {
  const { version, started } = setup.about ?? { version: 'unknown', started: 'unknown' };
  const sorted = [...results].sort((a, b) => a.id.localeCompare(b.id));
  const stored: ConformanceResults = {
    broker: setup.broker,
    ...(setup.variant === undefined ? {} : { variant: setup.variant }),
    version,
    started,
    node: process.version,
    results: sorted,
  };
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, `${titleOf(setup).replace(', ', '-')}.json`),
    `${JSON.stringify(stored, null, 2)}\n`,
  );
}
