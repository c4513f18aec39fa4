import type { Bus, Subscription } from '@ambus/core';
import { KINDS, type Kind, type Topics } from '../topics.ts';

/** Watches everything and takes part in nothing. */
export class Observer {
  readonly #paths = { found: new Map<string, Kind>(), indexed: new Map<string, Kind>() };
  readonly #dead = new Set<string>();
  retries = 0;

  /** A subscription without a group gets its own copy of every message, whoever else there is. */
  async watch(bus: Bus<Topics>): Promise<Subscription> {
    // What the bus does with messages that fail, it tells by events.
    bus.on('message.retried', () => {
      this.retries++;
    });
    bus.on('message.dead_lettered', ({ id }) => this.#dead.add(id));
    return bus.subscribe('files.#', ({ topic, data }) => {
      const seen = topic.endsWith('.found') ? this.#paths.found : this.#paths.indexed;
      seen.set(data.path, data.kind);
    });
  }

  get found(): number {
    return this.#paths.found.size;
  }

  get indexed(): number {
    return this.#paths.indexed.size;
  }

  get dead(): number {
    return this.#dead.size;
  }

  /** Rows of kind, found and indexed. */
  table(): (readonly [kind: Kind, found: number, indexed: number])[] {
    const count = (paths: ReadonlyMap<string, Kind>, kind: Kind): number =>
      [...paths.values()].filter((one) => one === kind).length;
    const { found, indexed } = this.#paths;
    return KINDS.map((kind) => [kind, count(found, kind), count(indexed, kind)] as const);
  }
}
