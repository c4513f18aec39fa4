export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** Of those that passed: how many failed the first time. */
  unsteady: number;
  /** What a reader needs to see of a failure. */
  details: string;
}

export function tally(passed: number, failed: number, details = '', skipped = 0): Tally {
  return { passed, failed, skipped, unsteady: 0, details };
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
      unsteady: all.unsteady + each.unsteady,
      details: [all.details, each.details].filter(Boolean).join('\n'),
    }),
    tally(0, 0),
  );
}

export function summary({ passed, failed, skipped, unsteady }: Tally): string {
  return [
    `${passed} passed`,
    `${failed} failed`,
    skipped > 0 && `${skipped} skipped`,
    unsteady > 0 && `${unsteady} unsteady`,
  ]
    .filter(Boolean)
    .join(', ');
}
