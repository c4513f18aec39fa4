import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { run } from '../process/run.ts';

const CANDIDATES = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python'];

/** An interpreter. */
export interface Python {
  readonly path: string;
  /** `cpython-313`: what is compiled for one tag does not load under another. */
  readonly tag: string;
}

/** A Python of at least version 3.`minor`. */
export async function python(minor: number): Promise<Python> {
  const script = `import sys
if sys.version_info[:2] >= (3, ${minor}): print(sys.implementation.cache_tag, sys.executable)`;
  for (const name of [...CANDIDATES, ...(await ofPyenv())]) {
    const [, tag, path] = /^(\S+) (.+)$/m.exec(await run(name, ['-c', script]).catch(() => '')) ?? [];
    if (tag !== undefined && path !== undefined) return { path, tag };
  }
  throw new ConfigError(`there is no Python of at least 3.${minor} on this computer`);
}

/** Those that pyenv has, also when none of them is the current one. */
async function ofPyenv(): Promise<string[]> {
  const versions = join(process.env.PYENV_ROOT || join(homedir(), '.pyenv'), 'versions');
  const names = await readdir(versions).catch(() => []);
  return names
    .sort()
    .reverse()
    .map((name) => join(versions, name, 'bin/python3'));
}

/** Installs exactly these packages of PyPI, and none besides, into `directory`. */
export async function pipInstall(
  { path }: Python,
  directory: string,
  packages: readonly string[],
): Promise<void> {
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input'];
  const args = ['-m', 'pip', 'install', ...quiet, '--no-deps', '--target', directory, ...packages];
  await run(path, args);
}
