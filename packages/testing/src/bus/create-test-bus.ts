import {
  type AnyTopics,
  type Bus,
  ConfigError,
  createBus,
  type TopicRules,
  type TopicsOf,
} from '@ambus/core';
import { type MemoryBroker, MemoryHub, memory } from '@ambus/memory';
import { VirtualClock } from '../clock/virtual-clock.ts';
import { Faults } from '../faults/faults.ts';
import { withFaults } from '../faults/with-faults.ts';
import { BusClock } from './bus-clock.ts';
import { closeAll } from './close-all.ts';
import { checkOther, type OtherBusOptions, split, type TestBusOptions, virtualClock } from './options.ts';

/** A bus and all that is around it. `await using` closes every bus of it. */
export interface TestBus<M = AnyTopics> extends AsyncDisposable {
  /** The bus under test. */
  readonly bus: Bus<M>;
  /** Time, for the hub and every bus. */
  readonly clock: VirtualClock;
  /** The server: to look into, to cut, to crash, to wipe. */
  readonly hub: MemoryHub;
  /** The bus's broker, without the faults. */
  readonly broker: MemoryBroker;
  /** Faults between the hub and every bus. */
  readonly faults: Faults;
  /** Another bus on the same hub and clock: another service. */
  createBus<const Rules extends TopicRules>(
    options: OtherBusOptions<Rules> & { readonly topics: Rules },
  ): Promise<Bus<TopicsOf<Rules>>>;
  createBus<N extends object = AnyTopics>(options?: OtherBusOptions): Promise<Bus<N>>;
  /**
   * Closes every bus, and moves the clock as far as their handlers need to end. Those that do not wait for it get up to
   * 2 seconds of real time before it moves.
   */
  close(): Promise<void>;
}

/**
 * A bus for a test: in memory, shared with no other test, and on a clock that the test moves.
 *
 * It is connected, and logs nothing unless it is given a `logger`.
 *
 * @throws {ConfigError} naming the option, its value and what is allowed
 */
export function createTestBus<const Rules extends TopicRules>(
  options: TestBusOptions<Rules> & { readonly topics: Rules },
): Promise<TestBus<TopicsOf<Rules>>>;
export function createTestBus<M extends object = AnyTopics>(options?: TestBusOptions): Promise<TestBus<M>>;
export async function createTestBus(options: TestBusOptions = {}): Promise<TestBus> {
  const { surroundings, bus: given } = split(options);
  const { hub, clock } = place(surroundings);
  const faults = new Faults({ seed: surroundings.seed, rules: surroundings.faults });
  const buses: Bus[] = [];
  const busClock = new BusClock(clock);

  const connect = async (
    own: OtherBusOptions,
    broker = memory({ ...surroundings.memory, hub }),
  ): Promise<Bus> => {
    const bus = await createBus({
      logger: false,
      ...own,
      broker: withFaults(broker, faults),
      clock: busClock,
    });
    buses.push(bus);
    await bus.connect();
    return bus;
  };

  const broker = memory({ ...surroundings.memory, hub });
  const bus = await connect(given, broker);
  const another = async (own: OtherBusOptions = {}): Promise<Bus> => connect(checkOther(own));
  const close = (): Promise<void> => closeAll(buses, clock, busClock);
  return {
    bus,
    clock,
    hub,
    broker,
    faults,
    createBus: another as TestBus['createBus'],
    close,
    [Symbol.asyncDispose]: close,
  };
}

function place(given: Pick<TestBusOptions, 'clock' | 'hub' | 'memory'>): {
  hub: MemoryHub;
  clock: VirtualClock;
} {
  const { hub } = given;
  const clock = given.clock ?? hub?.clock ?? new VirtualClock();
  if (virtualClock(clock) !== undefined) {
    throw new ConfigError('test bus option "hub" must run on a VirtualClock, not on the machine\'s clock');
  }
  if (hub !== undefined && hub.clock !== clock) {
    throw new ConfigError('test bus option "clock" must be the clock of the "hub"');
  }
  return { hub: hub ?? new MemoryHub({ clock }), clock: clock as VirtualClock };
}
