/** One process of a server, wherever it runs. */
export interface Machine {
  /** While it runs on this computer. */
  readonly pid: number | undefined;
  alive(): Promise<boolean>;
  /** Runs it; does not wait until it serves. Its data is what it left. */
  start(): Promise<void>;
  /** Sends a signal, and for SIGKILL and SIGTERM waits until it has ended. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** Freezes it: its connections stay open, and nothing answers. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Replaces files, by their path in its directory. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
  /** All that it wrote to its output. */
  log(): Promise<string>;
  /** Kills it and forgets its data. */
  remove(): Promise<void>;
}
