export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** What a reader needs to see of a failure. */
  details: string;
}

export function tally(passed: number, failed: number, details = '', skipped = 0): Tally {
  return { passed, failed, skipped, details };
}

/** The tally of one program that either succeeds or does not. */
export function one({ code, output }: { code: number; output: string }): Tally {
  return code === 0 ? tally(1, 0) : tally(0, 1, output);
}

export function sum(tallies: Tally[]): Tally {
  return tallies.reduce(
    (all, each) => ({
      passed: all.passed + each.passed,
      failed: all.failed + each.failed,
      skipped: all.skipped + each.skipped,
      details: [all.details, each.details].filter(Boolean).join('\n'),
    }),
    tally(0, 0),
  );
}

export function summary({ passed, failed, skipped }: Tally): string {
  const line = `${passed} passed, ${failed} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}
