/** One thing that is measured: runs once and returns how many per second. */
export interface Program {
  readonly name: string;
  run(): Promise<number>;
}

/** What came out of several rounds, as operations per second or milliseconds, and as a ratio to the reference of the same round. */
export interface Measured {
  readonly name: string;
  readonly rate: Spread;
  /** Undefined for the reference itself. */
  readonly ratio: Spread | undefined;
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]!, max: sorted.at(-1)! };
}

/**
 * Runs the programs in turn, round after round, in a new order each time, after one round to warm up. Machines get slower
 * and faster while this runs; the ratio of two programs of one round does not care.
 */
export async function measure(
  reference: Program,
  others: readonly Program[],
  rounds: number,
): Promise<readonly Measured[]> {
  const programs = [reference, ...others];
  const rates = new Map<Program, number[]>(programs.map((program) => [program, []]));
  for (let round = 0; round <= rounds; round++) {
    const order = round % 2 === 0 ? programs : [...programs].reverse();
    for (const program of order) {
      globalThis.gc?.();
      const rate = await program.run();
      if (round > 0) rates.get(program)!.push(rate);
    }
  }
  const base = rates.get(reference)!;
  return programs.map((program) => {
    const own = rates.get(program)!;
    const ratio = program === reference ? undefined : spread(own.map((rate, round) => rate / base[round]!));
    return { name: program.name, rate: spread(own), ratio };
  });
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const precise = (value: number): string => value.toFixed(2);
const share = (value: number): string => value.toFixed(2);

/** A Markdown table. */
export function table(
  title: string,
  measured: readonly Measured[],
  unit: 'per second' | 'ms' = 'per second',
): string {
  const value = unit === 'ms' ? precise : count;
  const lines = measured.map(({ name, rate, ratio }) => {
    const ratios =
      ratio === undefined ? '1' : `**${share(ratio.median)}** (${share(ratio.min)}–${share(ratio.max)})`;
    return `| ${name} | ${value(rate.median)} (${value(rate.min)}–${value(rate.max)}) | ${ratios} |`;
  });
  return [
    `### ${title}`,
    '',
    `| program | ${unit}: median (min–max) | ratio: median (min–max) |`,
    '| --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}
