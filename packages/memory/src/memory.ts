import { Memory, type MemoryBroker } from './broker.ts';
import { type MemoryOptions, settings } from './options.ts';

/**
 * A broker that keeps everything in this process: for tests, demos, and programs of one process.
 *
 * Its semantics are those of a server: bodies are bytes, groups outlive their members, leases run out. What it does not
 * do is outlive the process.
 *
 * @throws {ConfigError} naming the option, its value and what is allowed
 */
export function memory(options: MemoryOptions = {}): MemoryBroker {
  return new Memory(settings(options));
}
