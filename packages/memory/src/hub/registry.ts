import type { Clock } from '@ambus/core';
import { MemoryHub } from './hub.ts';

/**
 * On the global object, because an install may hold two copies of this package (one by `import`, one by `require`), and
 * `memory()` of both means the same default hub. The number changes when hubs of two versions no longer fit together.
 */
const REGISTRY = Symbol.for('ambus.memory.hubs.1');

/** The process's hub of this name, made with `clock` if there is none yet. */
export function namedHub(name: string, clock: Clock | undefined): MemoryHub {
  const shared = globalThis as { [REGISTRY]?: Map<string, MemoryHub> };
  shared[REGISTRY] ??= new Map();
  let hub = shared[REGISTRY].get(name);
  if (hub === undefined) {
    hub = new MemoryHub({ name, clock });
    shared[REGISTRY].set(name, hub);
  }
  return hub;
}
