import { execFile } from 'node:child_process';
import { ConnectionError } from '@ambus/core';
import { killAtExit, leaveAlone } from './guard.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until it is killed. Default 10 minutes: a first download over a slow line. */
  readonly timeout?: number;
}

/** What a program printed. Rejects with the end of what it said when it fails. It is killed when this process ends. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd, env, timeout = 600_000 } = options;
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { cwd, env: { ...process.env, ...env }, timeout, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        const said = `${stdout}\n${stderr}`.trim().slice(-2_000);
        reject(
          new ConnectionError(`${program} ${args[0] ?? ''} failed${said && `:\n${said}`}`, { cause: error }),
        );
      },
    );
    const { pid } = child;
    if (pid === undefined) return;
    killAtExit(pid);
    child.once('exit', () => leaveAlone(pid));
  });
}
