import { type ChildProcess, fork } from 'node:child_process';
import type { CaseContext } from '../context.ts';
import type { Command, Report } from './child.ts';

/** Another process with a bus on the same server. */
export class Child {
  /** What its handlers began with, in order. */
  readonly handled: { readonly data: unknown; readonly attempt: number }[] = [];
  /** Numbers whose publish it knows to be accepted. */
  readonly accepted: number[] = [];
  /** Resolves to its exit code, or null when it was killed. */
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #ready = Promise.withResolvers<void>();
  #lastCall = 0;

  constructor(child: ChildProcess) {
    this.#process = child;
    this.exited = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    child.on('message', (report) => this.#told(report as Report));
    void this.exited.then((code) => {
      const gone = new Error(`the other process ended (${code})`);
      this.#ready.reject(gone);
      for (const { reject } of this.#calls.values()) reject(gone);
    });
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when it has done so. */
  call(command: Command): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>();
    this.#calls.set(++this.#lastCall, answer);
    this.#process.send({ call: this.#lastCall, command });
    return answer.promise;
  }

  /** Ends it as a power cut would. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  #told(report: Report): void {
    if (report.is === 'ready') this.#ready.resolve();
    else if (report.is === 'handled') this.handled.push({ data: report.data, attempt: report.attempt });
    else if (report.is === 'accepted') this.accepted.push(report.number);
    else {
      const { call, error, result } = report;
      const answer = this.#calls.get(call);
      this.#calls.delete(call);
      if (error === undefined) answer?.resolve(result);
      else answer?.reject(new Error(error));
    }
  }
}

/** Starts another process with a bus on the same server. Only with the power `processes`. */
export async function startChild(t: CaseContext): Promise<Child> {
  // From source, Node strips the types itself and must find the packages' sources as well.
  const isSource = import.meta.url.endsWith('.ts');
  const options = JSON.stringify({ ...t.server.processes, prefix: t.prefix });
  const child = new Child(
    fork(new URL(isSource ? './child.ts' : './child.js', import.meta.url), [options], {
      execArgv: isSource ? ['--conditions=@ambus/source'] : [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  );
  t.cleanup(() => child.kill());
  await child.ready;
  return child;
}
