import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from './worker.ts';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));

/** One process of a contestant. */
class Process {
  readonly offers: Promise<readonly string[]>;
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;

  constructor(module: string, url: string) {
    this.#child = fork(WORKER, [module, url], {
      execArgv: ['--conditions=@ambus/source', '--expose-gc'],
      // What a peer prints at its start is no result.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const opened = Promise.withResolvers<readonly string[]>();
    this.offers = opened.promise;
    // Nobody waits for it any more when a process ends later.
    opened.promise.catch(() => {});
    this.#child.on(
      'message',
      (message: { offers?: string[]; call?: number; result?: unknown; error?: string }) => {
        if (message.offers !== undefined) return opened.resolve(message.offers);
        const call = this.#calls.get(message.call!);
        this.#calls.delete(message.call!);
        if (message.error === undefined) call?.resolve(message.result);
        else call?.reject(new Error(`${module}: ${message.error}`));
      },
    );
    this.#child.once('exit', (code) => {
      const gone = new Error(`${module} ended with ${code}`);
      opened.reject(gone);
      for (const { reject } of this.#calls.values()) reject(gone);
    });
  }

  call<T>(command: Command): Promise<T> {
    const answer = Promise.withResolvers<unknown>();
    this.#calls.set(++this.#last, answer);
    this.#child.send({ call: this.#last, command });
    return answer.promise as Promise<T>;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** A contestant in two processes: one publishes and asks, the other consumes and answers. */
export class Pair {
  readonly name: string;
  readonly publisher: Process;
  readonly consumer: Process;
  offers: readonly string[] = [];

  private constructor(name: string, module: string, url: string) {
    this.name = name;
    this.publisher = new Process(module, url);
    this.consumer = new Process(module, url);
  }

  /** @param module - file that exports the contestant */
  static async start(name: string, module: string, url: string): Promise<Pair> {
    const pair = new Pair(name, module, url);
    try {
      pair.offers = await pair.consumer.offers;
      await pair.publisher.offers;
    } catch (error) {
      pair.kill();
      throw error;
    }
    return pair;
  }

  async close(): Promise<void> {
    const closing = Promise.allSettled(
      [this.publisher, this.consumer].map((one) => one.call({ do: 'close' })),
    );
    await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, 5_000).unref())]);
    this.kill();
  }

  kill(): void {
    this.publisher.kill();
    this.consumer.kill();
  }
}
