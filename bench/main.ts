// npm run bench -- memory [--rounds 7] [--scale 1]
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { benchMemory } from './memory.ts';

const BENCHES: Readonly<Record<string, (rounds: number, scale: number) => Promise<string>>> = {
  memory: benchMemory,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '7' }, scale: { type: 'string', default: '1' } },
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
for (const name of chosen) console.log(await BENCHES[name]!(rounds, scale));
