import {
  type Broker,
  type BrokerHost,
  type BrokerSubscription,
  type BusRecord,
  type Clock,
  check,
  type Inbox,
  type InboxSink,
  type Sink,
  type Source,
  systemClock,
} from '@ambus/core';
import { Faults } from './faults.ts';
import { faultyInbox } from './inbox.ts';
import { FaultyPublisher } from './publishing.ts';
import { checkRule, type FaultRule } from './rule.ts';
import { FaultySubscription } from './subscription.ts';

/** A broker with faults. */
export type Faulty<B extends Broker> = B & {
  /** To add faults, to take them away, and to count them. */
  readonly faults: Faults;
};

type Method = (...args: unknown[]) => unknown;

/**
 * Puts faults between a bus and any broker: `createBus({ broker: withFaults(redis(), [{ on: 'publish', nth: 3, fault: 'fail' }]) })`.
 * Without rules it changes nothing. It has every member that the broker has, and no other but `faults`.
 *
 * @param faults - rules; or `Faults`, for a seed of one's own, or to share them among several brokers
 * @throws {ValidationError} naming the rule's option, its value and what is allowed
 */
export function withFaults<B extends Broker>(
  broker: B,
  faults: Faults | readonly FaultRule[] = [],
): Faulty<B> {
  check.checkArgument(
    'the broker',
    broker,
    check.shaped('a broker', 'connect', 'publish', 'subscribe', 'openInbox', 'close'),
  );
  if (!Array.isArray(faults)) check.checkArgument('the fault rules', faults, isFaults);
  const chosen = Array.isArray(faults) ? withRules(faults) : (faults as Faults);
  const overrides = new Map<PropertyKey, unknown>([
    ['faults', chosen],
    ...Object.entries(faultyMembers(broker, chosen)),
  ]);
  const bound = new Map<PropertyKey, { readonly method: Method; readonly bound: Method }>();
  return new Proxy(broker, {
    get(target, name) {
      if (overrides.has(name)) return overrides.get(name);
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      const known = bound.get(name);
      if (known?.method === value) return known.bound;
      // A method called on the proxy would not reach the private fields of the broker's class.
      const method = value as Method;
      const made = { method, bound: method.bind(target) as Method };
      bound.set(name, made);
      return made.bound;
    },
    has: (target, name) => overrides.has(name) || Reflect.has(target, name),
  }) as Faulty<B>;
}

const isFaults = check.shaped('a list, or Faults', 'decide', 'clear');

function withRules(rules: readonly FaultRule[]): Faults {
  for (const rule of rules) checkRule(rule);
  return new Faults({ rules });
}

function faultyMembers(
  broker: Broker,
  faults: Faults,
): Pick<Broker, 'connect' | 'publish' | 'subscribe' | 'openInbox' | 'close'> {
  let clock: Clock = broker.clock ?? systemClock;
  const time = (): Clock => clock;
  const publisher = new FaultyPublisher(broker, faults, time);
  return {
    connect(host: BrokerHost): Promise<void> {
      clock = host.clock;
      return broker.connect(host);
    },
    publish: (records: readonly BusRecord[], deadline: number): Promise<void> =>
      publisher.publish(records, deadline),
    async subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
      const subscription = new FaultySubscription(broker, faults, time, source, sink);
      return subscription.attach(await broker.subscribe(source, subscription));
    },
    openInbox: (sink: InboxSink): Promise<Inbox> => broker.openInbox(faultyInbox(sink, faults, time)),
    close(): Promise<void> {
      publisher.flush();
      return broker.close();
    },
  };
}
