export type { KafkaBroker } from './broker.ts';
export type { Codec } from './driver/compression.ts';
export type { NativeMessage } from './feed/entry.ts';
export { kafka } from './kafka.ts';
export type { KafkaOptions } from './options.ts';
