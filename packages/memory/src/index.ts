export type { MemoryBroker } from './broker.ts';
export type { RawRecord } from './hub/foreign.ts';
export { MemoryHub, type MemoryHubOptions } from './hub/hub.ts';
export type { Latency } from './link/wire.ts';
export { memory } from './memory.ts';
export type { MemoryOptions } from './options.ts';
