export type { NatsBroker } from './broker.ts';
export { nats } from './nats.ts';
export type { NatsOptions, NatsStreamOptions, NatsTlsOptions } from './options.ts';
