import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError } from '@ambus/core';
import { killAtExit, leaveAlone } from './guard.ts';
import type { Machine } from './machine.ts';
import { until } from './until.ts';

/** What to run on this computer. */
export interface LocalProgram {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Its own directory: working directory, data and log. */
  readonly directory: string;
  /** Contents of files by their path in the directory, written before the first start. */
  readonly files: Readonly<Record<string, string>>;
}

/** Milliseconds that a server gets to end by itself before it is killed. */
const PATIENCE = 10_000;

/** A process of this computer, killed at the latest when this process ends. */
export function localMachine({ command, env, directory, files }: LocalProgram): Machine {
  const logFile = join(directory, 'server.log');
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();
  let prepared = false;

  async function prepare(): Promise<void> {
    await mkdir(directory, { recursive: true });
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content, { mode: 0o600 });
    }
    prepared = true;
  }

  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;

  async function signal(name: NodeJS.Signals): Promise<void> {
    if (child === undefined || !running()) return;
    child.kill(name);
    // A frozen one would not hear of it.
    if (name === 'SIGTERM') child.kill('SIGCONT');
    if (name === 'SIGKILL' || name === 'SIGTERM') await end(child);
  }

  async function end(ending: ChildProcess): Promise<void> {
    const killer = setTimeout(() => ending.kill('SIGKILL'), PATIENCE);
    // Whoever waits for its end is not done, though nothing else keeps the program running.
    ending.ref();
    await ended;
    clearTimeout(killer);
  }

  return {
    get pid() {
      return running() ? child?.pid : undefined;
    },
    alive: async () => running(),
    async start() {
      if (running()) return;
      if (!prepared) await prepare();
      const [program = '', ...args] = command;
      const log = openSync(logFile, 'a');
      const started = spawn(program, args, {
        cwd: directory,
        env: { ...process.env, ...env },
        // Away from the terminal, whose interrupt would end it before the tests that use it.
        detached: true,
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      started.unref();
      child = started;
      const { pid } = started;
      if (pid === undefined) {
        const [error] = await once(started, 'error');
        throw new ConnectionError(`${program} cannot be run`, { cause: error, retryable: false });
      }
      killAtExit(pid);
      started.on('error', () => {});
      ended = new Promise<void>((resolve) => {
        started.once('exit', () => {
          leaveAlone(pid);
          resolve();
        });
      });
    },
    signal,
    async pause() {
      await signal('SIGSTOP');
      if (child?.pid !== undefined && running()) await stopped(child.pid);
    },
    resume: () => signal('SIGCONT'),
    async write(changed) {
      for (const [path, content] of Object.entries(changed)) await writeFile(join(directory, path), content);
    },
    log: () => readFile(logFile, 'utf8').catch(() => ''),
    async remove() {
      await signal('SIGKILL');
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Milliseconds in which a process surely stands still. */
const STANDS = 50;

/** On a busy computer some of its threads may run for a moment yet. */
async function stopped(pid: number): Promise<void> {
  if (platform() !== 'linux') {
    await sleep(STANDS);
    return;
  }
  await until(async () => {
    const tasks = `/proc/${pid}/task`;
    for (const task of await readdir(tasks)) {
      const stat = await readFile(join(tasks, task, 'stat'), 'utf8');
      // The name before it, in brackets, may hold anything.
      const state = stat.slice(stat.lastIndexOf(')') + 2)[0];
      if (state !== 'T') throw new ConnectionError(`process ${pid} still runs`);
    }
  }, PATIENCE);
}
