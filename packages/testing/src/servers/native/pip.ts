import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { run } from '../process/run.ts';

const CANDIDATES = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python'];

/** Path of a Python of at least version 3.`minor`. */
export async function python(minor: number): Promise<string> {
  for (const name of [...CANDIDATES, ...(await ofPyenv())]) {
    const script = `import sys; print(sys.executable if sys.version_info[:2] >= (3, ${minor}) else '')`;
    const path = (await run(name, ['-c', script]).catch(() => '')).trim();
    if (path !== '') return path;
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
  interpreter: string,
  directory: string,
  packages: readonly string[],
): Promise<void> {
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input'];
  const args = ['-m', 'pip', 'install', ...quiet, '--no-deps', '--target', directory, ...packages];
  await run(interpreter, args);
}
