import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest, Packed } from '../packages.ts';
import { type Result, root, run, tool } from '../run.ts';
import { one, sum, type Tally, tally } from '../tally.ts';
import { usage } from './usage.ts';

/**
 * What a package's users need beside ECMAScript and Node while they check the types of their dependencies, too
 * (no `skipLibCheck`): the types of `nats` name `TextEncoder` as a browser's global.
 */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = { '@ambus/nats': ['dom'] };

/** Installs every tarball into an empty project of its own, with npm as most users do, and uses it. */
export async function install(packages: Packed[], folder: string): Promise<Tally> {
  const tallies: Tally[] = [];
  const waiting = [...packages];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      tallies.push(await installOne(next, packages, folder));
    }
  };
  // npm waits for the disk while the compilers of the other one compute; more at a time gain nothing.
  await Promise.all([worker(), worker()]);
  return sum(tallies);
}

async function installOne({ manifest }: Packed, packages: Packed[], folder: string): Promise<Tally> {
  const project = join(folder, manifest.name.replace('/', '-'));
  mkdirSync(project, { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(project, name), text);
  const { esm, cjs, types } = usage(manifest);

  write('package.json', JSON.stringify({ private: true, dependencies: dependencies(manifest, packages) }));
  write('esm.mjs', esm);
  write('cjs.cjs', cjs);
  write('types.mts', types);
  write('types.cts', types);
  write('types.ts', types);

  const npm = 'npm install --no-audit --no-fund --ignore-scripts --prefer-offline --loglevel=error';
  const installed = await run(npm, [], { cwd: project, shell: true });
  if (installed.code !== 0) return named(`npm install of ${manifest.name}`, installed);

  const libraries = LIBRARIES[manifest.name] ?? [];
  const results = await Promise.all([
    labelled('import', run(process.execPath, ['esm.mjs'], { cwd: project })),
    labelled('require', run(process.execPath, ['cjs.cjs'], { cwd: project })),
    labelled('types, node16 ESM', compile(project, 'types.mts', 'node16', libraries)),
    labelled('types, node16 CommonJS', compile(project, 'types.cts', 'node16', libraries)),
    labelled('types, bundler', compile(project, 'types.ts', 'bundler', libraries)),
  ]);
  return sum(results);

  async function labelled(how: string, running: Promise<Result>): Promise<Tally> {
    return named(`${manifest.name}, ${how}`, await running);
  }
}

function named(title: string, result: Result): Tally {
  return result.code === 0 ? one(result) : tally(0, 1, `${title}\n${result.output}`);
}

/** The package with what it cannot do without, core and memory to try it, and the optional peers it can work with. */
function dependencies({ name, peerDependencies = {} }: Manifest, packages: Packed[]): Record<string, string> {
  const found = new Map<string, string>();
  const add = (wanted: string) => {
    const own = packages.find((each) => each.manifest.name === wanted);
    if (!own || found.has(wanted)) return;
    found.set(wanted, `file:${own.tarball}`);
    for (const next of required(own.manifest)) add(next);
  };
  for (const wanted of [name, '@ambus/core', '@ambus/memory']) add(wanted);
  for (const peer of Object.keys(peerDependencies)) {
    if (!peer.startsWith('@ambus/')) found.set(peer, versionOf(peer));
  }
  return Object.fromEntries(found);
}

function required({
  dependencies = {},
  peerDependencies = {},
  peerDependenciesMeta = {},
}: Manifest): string[] {
  const peers = Object.keys(peerDependencies).filter((peer) => !peerDependenciesMeta[peer]?.optional);
  return [...Object.keys(dependencies), ...peers];
}

function versionOf(name: string): string {
  const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  const version = catalog.match(new RegExp(`^ {2}["']?${name}["']?: (\\S+)$`, 'm'))?.[1];
  if (!version) throw new Error(`${name} has no version in the catalog of pnpm-workspace.yaml`);
  return version;
}

function compile(
  project: string,
  file: string,
  resolution: 'node16' | 'bundler',
  libraries: readonly string[],
): Promise<Result> {
  const module = resolution === 'node16' ? 'node16' : 'esnext';
  const lib = ['es2023', 'esnext.disposable', ...libraries].join();
  const options = ['--noEmit', '--strict', '--target', 'es2023', '--lib', lib];
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
  const how = ['--module', module, '--moduleResolution', resolution];
  return tool('typescript', 'tsc', [...options, ...types, ...how, '--ignoreConfig', file], { cwd: project });
}
