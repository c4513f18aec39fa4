import type { Broker } from '@ambus/core';

/** What stands in the place of some of a broker's methods. Each may call `broker`'s own. */
export type Overrides = (broker: Broker) => Partial<Pick<Broker, 'connect' | 'publish' | 'subscribe'>>;

/**
 * A broker with some methods replaced: for counting what core asks of it, and for failures at a chosen moment, which are
 * then the same on every broker.
 */
export function wrapBroker(broker: Broker, overrides: Overrides): Broker {
  const own = overrides(broker);
  return new Proxy(broker, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name as keyof typeof own];
      // Methods must see the broker itself: its private fields are not on the proxy.
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
