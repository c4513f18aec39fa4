import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * The end of its input means that this process is gone, however it went: then the shell kills the servers of the last
 * line that it read, and removes their data.
 */
const SCRIPT = `servers=
while read -r line; do servers=$line; done
[ -n "$servers" ] && kill -9 $servers 2>/dev/null
rm -rf "$0"`;

interface Guard {
  readonly directory: string;
  readonly shell: ChildProcess;
  readonly pids: Set<number>;
}

let current: Guard | undefined;

function guard(): Guard {
  if (current === undefined || current.shell.exitCode !== null || current.shell.signalCode !== null) {
    const directory = mkdtempSync(join(tmpdir(), 'ambus-'));
    // A session of its own: an interrupt from the terminal ends the tests, and the shell outlives them to clean up.
    const shell = spawn('/bin/sh', ['-c', SCRIPT, directory], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    shell.unref();
    shell.stdin.on('error', () => {});
    (shell.stdin as unknown as { unref(): void }).unref();
    current = { directory, shell, pids: new Set() };
  }
  return current;
}

/** Where the servers of this process keep their data; it is removed when this process ends. */
export const workDirectory = (): string => guard().directory;

/** From now on `pid` is killed when this process ends, also when it is killed itself. */
export const killAtExit = (pid: number): void => tell((pids) => pids.add(pid));

/** `pid` has ended: its number may soon be another program's. */
export const leaveAlone = (pid: number): void => tell((pids) => pids.delete(pid));

function tell(change: (pids: Set<number>) => void): void {
  const { shell, pids } = guard();
  change(pids);
  shell.stdin?.write(`${[...pids].join(' ')}\n`);
}
