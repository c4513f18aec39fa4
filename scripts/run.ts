import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root: string = join(import.meta.dirname, '..');

export interface Result {
  code: number;
  output: string;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Show the output while it comes instead of collecting it. */
  live?: boolean;
  shell?: boolean;
}

/** Runs a program to its end; a program that cannot be started has exit code 1, too. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', ...options.env },
    stdio: ['ignore', ...(options.live ? (['inherit', 'inherit'] as const) : (['pipe', 'pipe'] as const))],
    shell: options.shell ?? false,
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk;
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  child.on('error', (error) => resolve({ code: 1, output: `${output}${error.message}\n` }));
  child.on('close', (code) => resolve({ code: code ?? 1, output }));
  return promise;
}

/**
 * Runs the program that a package installs, past the shims of `node_modules/.bin`, which need a shell on Windows.
 */
export function tool(name: string, program: string, args: string[], options?: RunOptions): Promise<Result> {
  const folder = join(root, 'node_modules', name);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = typeof bin === 'string' ? bin : bin[program];
  return run(process.execPath, [join(folder, file), ...args], options);
}
