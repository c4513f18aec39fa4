// Runs one of this repository's TypeScript files on a machine that has nothing but Node 20 and npm:
//
//   node scripts/bootstrap.mjs examples/demo/main.ts [args…]
//
// npm brings the pinned pnpm, and the pinned Node where the machine's own is too old; pnpm installs the
// dependencies; the file then runs as our direct child, so arguments, output, signals and the exit code
// pass through no shell. Plain JavaScript without dependencies, because it runs before there are any.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE = '24.21.0';
// The first that runs TypeScript without a warning and knows `await using`.
const OLDEST_NODE = 24;
const WINDOWS = process.platform === 'win32';
// Set in the copy of this script that npm starts, whose only task is to tell where npm put the tools.
const ASKED = 'AMBUS_TELL_TOOLS';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');

/** The first folder of PATH that holds pnpm. */
function pnpmFolder() {
  const names = WINDOWS ? ['pnpm.exe', 'pnpm.cmd'] : ['pnpm'];
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.find((folder) => names.some((name) => existsSync(join(folder, name))));
}

function tools() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const packages = [packageManager];
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) packages.push(`node@${NODE}`);

  // Asking npm takes most of a second, so its answer is kept for as long as it holds.
  const memo = join(modules, '.cache', 'ambus', 'tools.json');
  const key = [process.execPath, process.version, ...packages].join(' ');
  if (existsSync(memo)) {
    const known = JSON.parse(readFileSync(memo, 'utf8'));
    if (known.key === key && existsSync(known.node) && existsSync(known.pnpm)) return known;
  }

  const command = ['exec', '--yes', '--loglevel=error', ...packages.map((name) => `--package=${name}`)];
  command.push('-c', '"node scripts/bootstrap.mjs"');
  const asked = npm(command, { ...process.env, [ASKED]: '1' });
  if (asked.status !== 0) fail(`npm could not bring ${packages.join(' and ')}`, asked.status);
  const found = { key, ...JSON.parse(asked.stdout) };
  return { ...found, save: () => save(memo, found) };
}

function npm(args, env) {
  const options = { cwd: root, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const cli = process.env.npm_execpath;
  if (cli && basename(cli) === 'npm-cli.js') {
    const plain = args.map((arg) => arg.replaceAll('"', ''));
    return spawnSync(process.execPath, [cli, ...plain], options);
  }
  return spawnSync(['npm', ...args].join(' '), { ...options, shell: true });
}

function save(file, value) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(value));
}

function install(env) {
  if (!existsSync(modules)) console.error('Installing dependencies …');
  const command = 'pnpm install --frozen-lockfile --config.confirmModulesPurge=false';
  const { status, stdout, stderr } = spawnSync(command, { cwd: root, env, encoding: 'utf8', shell: true });
  if (status === 0) return;
  fail(`${stdout}${stderr}pnpm could not install the dependencies`, status);
}

function start(node, env, file, args) {
  const child = spawn(node, ['--conditions=@ambus/source', file, ...args], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal's Ctrl-C reaches the child by itself; a second one would look like impatience.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    });
  }
  child.on('error', (error) => fail(error.message, 1));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function fail(message, status) {
  console.error(message);
  process.exit(status || 1);
}

if (process.env[ASKED]) {
  console.log(JSON.stringify({ node: process.execPath, pnpm: pnpmFolder() }));
} else {
  const [file, ...args] = process.argv.slice(2);
  if (!file) fail('usage: node scripts/bootstrap.mjs <file.ts> [args…]', 2);
  const { node, pnpm, save: remember } = tools();
  const path = [dirname(node), pnpm, process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH: path };
  install(env);
  remember?.();
  start(node, env, file, args);
}
