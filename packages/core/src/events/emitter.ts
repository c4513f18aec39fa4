import type { Logger } from '../logger.ts';
import type { BusEvents } from './events.ts';

type Listener<K extends keyof BusEvents> = (event: BusEvents[K]) => unknown;

/**
 * The bus's events. A listener that throws or rejects is logged and changes nothing: watching must not break what is
 * watched.
 */
export class Emitter {
  readonly #listeners = new Map<keyof BusEvents, Set<(event: never) => unknown>>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Adds a listener; the returned function takes it away. */
  on<K extends keyof BusEvents>(name: K, listener: Listener<K>): () => void {
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  /** Whether anybody listens: asked before an event is built on the hot path. */
  has(name: keyof BusEvents): boolean {
    return this.#listeners.has(name);
  }

  emit<K extends keyof BusEvents>(name: K, event: BusEvents[K]): void {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) return;
    for (const listener of [...listeners] as Listener<K>[]) {
      try {
        const result = listener(event);
        if (result instanceof Promise) result.catch((error: unknown) => this.#failed(name, error));
      } catch (error) {
        this.#failed(name, error);
      }
    }
  }

  #failed(name: string, error: unknown): void {
    this.#logger.error({ event: name, err: error }, 'a listener threw');
  }
}
