export { createTestBus, type TestBus } from './bus/create-test-bus.ts';
export type { OtherBusOptions, TestBusOptions } from './bus/options.ts';
export { VirtualClock, type VirtualClockOptions } from './clock/virtual-clock.ts';
export { type Fault, type FaultCounts, Faults, type FaultsOptions } from './faults/faults.ts';
export type {
  DelayRule,
  FailRule,
  FaultKind,
  FaultPlace,
  FaultRule,
  FaultSelection,
} from './faults/rule.ts';
export { type Faulty, withFaults } from './faults/with-faults.ts';
export type { Match } from './recorder/match.ts';
export { type ExpectNoneOptions, type ExpectOptions, type Recorder, recorder } from './recorder/recorder.ts';
export type { KafkaServerOptions } from './servers/kafka/options.ts';
export type { NatsServerOptions, NatsUser } from './servers/nats/options.ts';
export { type FaultProxy, faultProxy } from './servers/proxy/fault-proxy.ts';
export type { RedisServerOptions } from './servers/redis/options.ts';
export type { SchemaRegistryServerOptions } from './servers/schema-registry/kind.ts';
export type { ServiceBusServerOptions } from './servers/servicebus/kind.ts';
export type { SqsServerOptions } from './servers/sqs/kind.ts';
export { type ServerOptions, startServer } from './servers/start-server.ts';
export type {
  CommonServerOptions,
  Server,
  ServerCredentials,
  ServerKind,
  ServerNode,
  ServerPowers,
  ServerTls,
  ServerWay,
} from './servers/types.ts';
