// npm run bench -- memory redis nats [--rounds 7] [--scale 1] [--only 'request'] [--peers]
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benchMemory } from './memory.ts';
import { type BenchOptions, benchBroker, type ServerKind } from './network/bench.ts';
import { ENTRIES } from './network/entries.ts';

const onServer =
  (kind: ServerKind) =>
  (options: BenchOptions): Promise<string> =>
    benchBroker(kind, ENTRIES[kind], options);

const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<string>>> = {
  memory: ({ rounds, scale }) => benchMemory(rounds, scale),
  redis: onServer('redis'),
  nats: onServer('nats'),
  kafka: onServer('kafka'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    peers: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const scale = Number(values.scale);
if (!Number.isInteger(rounds) || rounds < 1 || !(scale > 0)) {
  console.error('--rounds must be a whole number of at least 1, --scale a number above 0');
  process.exit(2);
}
const chosen = positionals.length > 0 ? positionals : Object.keys(BENCHES);
for (const name of chosen) {
  if (BENCHES[name] === undefined) {
    console.error(`there is no benchmark "${name}"; there are ${Object.keys(BENCHES).join(', ')}`);
    process.exit(2);
  }
}
console.log(
  `Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model}, ${rounds} interleaved rounds\n`,
);
for (const name of chosen) {
  console.log(await BENCHES[name]!({ rounds, scale, only: values.only, peers: values.peers }));
}
