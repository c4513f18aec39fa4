import { type Bus, createBus, type Subscription } from '@ambus/core';
import type { Consuming, Contestant, Durable, OnPayload } from '../network/contestant.ts';

const EPHEMERAL = 'live';

async function consume(
  bus: Bus,
  topic: string,
  group: string | undefined,
  handle: OnPayload,
  members: number,
): Promise<Consuming> {
  const before = bus.stats().acked;
  const subscribe = (): Promise<Subscription> =>
    bus.subscribe<object>(topic, ({ data }) => handle(data), {
      ...(group === undefined ? {} : { group }),
      prefetch: 1_000,
      concurrency: 100,
    });
  const subscriptions = await Promise.all(Array.from({ length: members }, subscribe));
  return {
    done: () => bus.stats().acked - before,
    leave: async () => subscriptions.pop()?.unsubscribe(),
    async stop() {
      await Promise.all(subscriptions.map((subscription) => subscription.unsubscribe()));
    },
  };
}

/** The bus with its own defaults, but for a prefetch that is as large as the twins' fetches. */
export function ambus(
  broker: 'redis' | 'nats' | 'kafka',
  topicOptions: Record<string, unknown> = {},
): Contestant {
  return {
    async open(url) {
      const bus = await createBus({
        broker,
        url,
        topics: { [`${EPHEMERAL}.#`]: { durability: 'ephemeral' }, '#': topicOptions },
      });
      await bus.connect();
      const publish: Durable['publish'] = async (topic, payloads) => {
        await Promise.all(payloads.map((payload) => bus.publish(topic, payload)));
      };
      return {
        durable: {
          async prepare(topic) {
            await bus.admin.ensureTopic(topic);
            await bus.admin.ensureGroup(topic, 'bench', 'new');
          },
          publish,
          consume: (topic, handle, members) => consume(bus, topic, 'bench', handle, members),
        },
        ephemeral: {
          publish: (topic, payloads) => publish(`${EPHEMERAL}.${topic}`, payloads),
          consume: (topic, handle) => consume(bus, `${EPHEMERAL}.${topic}`, undefined, handle, 1),
        },
        requests: {
          async respond(topic) {
            const responder = await bus.respond(topic, ({ data }) => data, { concurrency: 1_000 });
            return { stop: () => responder.unsubscribe() };
          },
          ask: async (topic, payload) => (await bus.request(topic, payload)).data,
        },
        close: () => bus.close(),
      };
    },
  };
}
