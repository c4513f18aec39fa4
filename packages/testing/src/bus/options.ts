import { type BusOptions, ConfigError, check, type TopicRules } from '@ambus/core';
import type { MemoryHub, MemoryOptions } from '@ambus/memory';
import type { VirtualClock } from '../clock/virtual-clock.ts';
import { type FaultRule, faultRules } from '../faults/rule.ts';

/** What another bus of a test may be told: everything but what the test decides. */
export type OtherBusOptions<Rules extends TopicRules = TopicRules> = Omit<
  BusOptions<Rules>,
  'broker' | 'url' | 'clock'
>;

/** Options of `createTestBus`: those of `createBus` for the first bus, and its surroundings. */
export interface TestBusOptions<Rules extends TopicRules = TopicRules> extends OtherBusOptions<Rules> {
  /** Default: a new one. */
  readonly clock?: VirtualClock | undefined;
  /** Default: a new one, shared with nobody. One that is given must run on a `VirtualClock`. */
  readonly hub?: MemoryHub | undefined;
  /** Options of `memory()` for every bus of the test. */
  readonly memory?: Omit<MemoryOptions, 'hub' | 'url' | 'clock'> | undefined;
  /** Faults from the start; more of them by `test.faults`. */
  readonly faults?: readonly FaultRule[] | undefined;
  /** Seed of the faults' chances. Default 1. */
  readonly seed?: number | undefined;
}

type Surroundings = Pick<TestBusOptions, 'clock' | 'hub' | 'memory' | 'faults' | 'seed'>;

// By their methods: an ES module and a CommonJS program would have two copies of each class.
export const virtualClock: check.Check = check.shaped('a VirtualClock', 'now', 'advance', 'settle');
const memoryHub: check.Check = check.shaped('a MemoryHub', 'publish', 'records', 'disconnect', 'wipe');

const SPEC: check.Spec<Surroundings> = {
  clock: virtualClock,
  hub: memoryHub,
  memory: check.object,
  faults: faultRules,
  seed: check.integer(0, 2 ** 32 - 1),
};

/** The two kinds of options apart. `createBus` checks its own. */
export function split(options: TestBusOptions): {
  surroundings: Surroundings;
  bus: OtherBusOptions;
} {
  const { clock, hub, memory, faults, seed, ...bus } = options;
  const surroundings = { clock, hub, memory, faults, seed };
  check.checkOptions('test bus option', surroundings, SPEC, ConfigError);
  return { surroundings, bus: checkOther(bus) };
}

/** @throws {ConfigError} for what would take a bus out of the test */
export function checkOther(options: OtherBusOptions): OtherBusOptions {
  check.checkArgument('the options', options, check.object);
  for (const name of ['broker', 'url', 'clock']) {
    if (Object.hasOwn(options, name)) {
      throw new ConfigError(
        `test bus option "${name}" does not exist: every bus of a test is on its hub and clock`,
      );
    }
  }
  return options;
}
