import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const DEMO = resolve(import.meta.dirname, '..');

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; out: string; err: string }>;
}

function start(args: readonly string[], env: Record<string, string> = {}): Run {
  // Under a test runner the bus does not look at AMB_BROKER; the demo is not the test.
  const { VITEST: _, NODE_ENV: __, AMB_BROKER: ___, INIT_CWD: ____, ...rest } = process.env;
  const child = spawn(process.execPath, ['--conditions=@ambus/source', join(DEMO, 'main.ts'), ...args], {
    env: { ...rest, ...env },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<{ code: number | null; out: string; err: string }>((done) => {
    child.on('close', (code) => done({ code, out, err }));
  });
  return { child, ended };
}

const run = (args: readonly string[], env?: Record<string, string>): Run['ended'] => start(args, env).ended;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambus-demo-'));
  await mkdir(join(folder, 'src/node_modules'), { recursive: true });
  await cp(join(DEMO, 'fixtures'), join(folder, 'odd'), { recursive: true });
  await writeFile(
    join(folder, 'README.md'),
    '# Parcels\n\nThe parcel service delivers a parcel to a door.\n',
  );
  await writeFile(join(folder, 'src/parcel.ts'), 'export interface Parcel { door: string }\n');
  await writeFile(join(folder, 'src/empty.json'), '');
  await writeFile(join(folder, 'src/large.csv'), 'x'.repeat(1024 * 1024 + 1));
  await writeFile(join(folder, 'src/node_modules/skipped.js'), '');
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('indexes a directory, and tells what came of it', async () => {
  const { code, out, err } = await run([folder, '--broker', 'memory', '--search', 'parcel door']);
  expect(err).toBe('');
  expect(out).toContain(`Indexing ${folder} over memory\n`);
  expect(out).toContain(`
Summary
  kind     found  indexed
  code         1        1
  docs         2        1
  data         2        1
  other        1        0
  all          6        3
  3 dead letters, 4 retries

Dead letters
  odd/old-address.txt
    retries-exhausted after 3 attempts: TypeError: The encoded data was not valid for encoding utf-8
  odd/pixel.png
    not-retryable after 1 attempt: ValidationError: it is binary
  src/large.csv
    retries-exhausted after 3 attempts: RangeError: it has 1048577 bytes, more than 1048576

Replayed odd/old-address.txt, read as latin1: indexed

Review: 2 of 3 approve
  no   completeness: 4 of 6 files are in it
  yes  honesty: it holds no file that was not found
  yes  usefulness: "parcel door" finds 2 files

Search for "parcel door"
     3  README.md
     3  src/parcel.ts
`);
  expect(code).toBe(0);
});

const brokers = (process.env.AMB_BROKERS ?? 'redis,nats,kafka')
  .split(',')
  .filter((name) => name !== 'memory');

it.each(brokers)(
  'says the same over %s, on a server that it starts',
  async (broker) => {
    const results = ({ out }: { out: string }): string => out.slice(out.indexOf('\nSummary'));
    const memory = await run([folder, '--broker', 'memory']);
    const { code, out, err } = await run([folder], { AMB_BROKER: broker });
    expect(out).toContain(`over ${broker}\n`);
    expect(results({ out })).toBe(results(memory));
    expect(err).toMatch(new RegExp(`^ambus ${broker}: .*\n$`));
    expect(code).toBe(0);
  },
  120_000,
);

it('tells of progress in a few lines where there is no terminal', async () => {
  const { out } = await run([folder]);
  const lines = out.split('\n').filter((line) => / of 6 files indexed/.test(line));
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(4);
  expect(lines.at(-1)).toBe('3 of 6 files indexed, 3 failed');
});

it('finds at least two kinds of dead letters in this repository', async () => {
  const { code, out } = await run([]);
  expect(out).toContain('examples/demo/fixtures/old-address.txt\n    retries-exhausted after 3 attempts');
  expect(out).toContain('examples/demo/fixtures/pixel.png\n    not-retryable after 1 attempt');
  expect(code).toBe(0);
});

it('says so where nothing is found', async () => {
  const { code, out } = await run([join(folder, 'src'), '--search', 'nowhere']);
  expect(out).toContain('no   usefulness: "nowhere" finds 0 files');
  expect(out).toContain('Search for "nowhere"\n  nothing found\n');
  expect(code).toBe(0);
});

it('tells what it can do', async () => {
  const { code, out, err } = await run(['--help']);
  expect(out).toContain('npm run demo -- [directory] [options]');
  expect([code, err]).toEqual([0, '']);
});

it.each([
  [['--colour'], 2, /^Unknown option '--colour'; .*--help.*\n$/],
  [['--broker'], 2, /^Option '--broker <value>' argument missing; .*\n$/],
  [['one', 'two'], 2, /^one directory at a time, not also "two"; .*\n$/],
  [['/does/not/exist'], 1, /^there is no directory .*exist\n$/],
  [['--broker', 'pigeon'], 1, /^bus option "broker" must be "memory" or .*, not "pigeon"\n$/],
  [['--url', 'memory:/x'], 1, /^memory option "url" must be .*\n$/],
])('says in one line what is wrong with %j', async (args, expected, message) => {
  const { code, out, err } = await run(args);
  expect(err).toMatch(message);
  expect([code, out]).toEqual([expected, '']);
});

it('takes the broker from AMB_BROKER, and the flag over it', async () => {
  const wrong = { AMB_BROKER: 'pigeon' };
  expect((await run([folder], wrong)).err).toMatch(/^environment variable AMB_BROKER must be .*\n$/);
  for (const given of [
    await run([folder], { AMB_BROKER: 'memory' }),
    await run([folder, '--broker', 'memory'], { AMB_BROKER: 'kafka' }),
  ]) {
    expect(given.out).toContain('over memory');
    expect(given.code).toBe(0);
  }
});

it('closes in order when it is interrupted', async () => {
  const { child, ended } = start([folder]);
  child.stdout!.once('data', () => child.kill('SIGINT'));
  const { code, out, err } = await ended;
  expect(out).toContain('Interrupted: the agents have ended their work, and the bus is closed.');
  expect([code, err]).toEqual([130, '']);
});
