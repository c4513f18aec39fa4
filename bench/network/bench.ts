import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startServer } from '@ambus/testing';
import { type Measured, spread, table } from '../rounds.ts';
import { backlogMemory } from './backlog-memory.ts';
import { Pair } from './program.ts';
import { SHAPES } from './shapes.ts';

/** A program that takes part: the twin first, since all others are held against it. */
export interface Entry {
  readonly name: string;
  /** Of `bench/`. */
  readonly module: string;
}

export interface BenchOptions {
  readonly rounds: number;
  readonly scale: number;
  /** Part of the name of the shapes that are measured. */
  readonly only: string;
  readonly peers: boolean;
}

export type ServerKind = 'redis' | 'nats' | 'kafka';

const PEERS_INSTALLED = fileURLToPath(new URL('../peers/node_modules', import.meta.url));

/** Runs all programs over all shapes on one server. */
export async function benchBroker(
  kind: ServerKind,
  entries: readonly Entry[],
  { rounds, scale, only, peers }: BenchOptions,
): Promise<string> {
  await using server = await startServer(kind);
  const chosen = entries.filter(({ module }) => peers || !module.startsWith('./peers/'));
  const out: string[] = [
    `## ${kind}\n\n${kind} ${server.version}, ${rounds} interleaved rounds, two processes and the server\n`,
  ];
  const pairs: Pair[] = [];
  try {
    for (const { name, module } of chosen) {
      if (module.startsWith('./peers/') && !existsSync(PEERS_INSTALLED)) {
        out.push(`${name}: not installed (npm ci --prefix bench/peers)\n`);
        continue;
      }
      const file = fileURLToPath(new URL(`../${module}`, import.meta.url));
      await Pair.start(name, file, server.url).then(
        (pair) => pairs.push(pair),
        (error: Error) => out.push(`${name}: did not start: ${error.message}\n`),
      );
    }
    const wanted = SHAPES.filter(
      ({ name, servers }) => name.includes(only) && (servers === undefined || servers.includes(kind)),
    );
    for (const shape of wanted) {
      for (const size of shape.sizes) {
        const able = pairs.filter(({ offers }) => offers.includes(shape.needs));
        const measured = await interleave(able, rounds, (pair) =>
          shape.run(pair, size, Math.round(shape.count * scale)),
        );
        out.push(table(`${kind}: ${shape.name}, ${size}`, measured, shape.unit));
        console.error(out.at(-1));
      }
    }
    if ('memory'.includes(only)) out.push(await backlogMemory(pairs, scale));
  } finally {
    await Promise.all(pairs.map((pair) => pair.close()));
  }
  return out.join('\n');
}

/** Each in turn, round after round in another order, after one round to warm up; ratios are within a round. */
async function interleave(
  pairs: readonly Pair[],
  rounds: number,
  run: (pair: Pair) => Promise<number>,
): Promise<readonly Measured[]> {
  const values = new Map<Pair, number[]>(pairs.map((pair) => [pair, []]));
  for (let round = 0; round <= rounds; round++) {
    const turn = round % pairs.length;
    for (const pair of [...pairs.slice(turn), ...pairs.slice(0, turn)]) {
      const value = await run(pair);
      if (round > 0) values.get(pair)!.push(value);
    }
  }
  const [twin] = pairs;
  const base = values.get(twin!)!;
  return pairs.map((pair) => {
    const own = values.get(pair)!;
    const ratio = pair === twin ? undefined : spread(own.map((value, round) => value / base[round]!));
    return { name: pair.name, rate: spread(own), ratio };
  });
}
