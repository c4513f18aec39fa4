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
