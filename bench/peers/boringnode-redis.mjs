import { Bus } from '@boringnode/bus';
import { RedisTransport } from '@boringnode/bus/transports/redis';

export const contestant = {
  async open(url) {
    const { hostname: host, port } = new URL(url);
    const bus = new Bus(new RedisTransport({ host, port: Number(port) }), {});
    return {
      ephemeral: {
        publish: async (topic, payloads) =>
          void (await Promise.all(payloads.map((payload) => bus.publish(topic, payload)))),
        async consume(topic, handle) {
          let done = 0;
          await bus.subscribe(topic, async (payload) => {
            await handle(payload);
            done++;
          });
          return { done: () => done, stop: () => bus.unsubscribe(topic) };
        },
      },
      close: () => bus.disconnect(),
    };
  },
};
