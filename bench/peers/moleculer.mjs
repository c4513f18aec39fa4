import { randomUUID } from 'node:crypto';
import { Middleware as Channels } from '@moleculer/channels';
import { ServiceBroker } from 'moleculer';

/**
 * Moleculer's events and actions, and its channels where `channels` names an adapter and `makeGroup` makes a group there.
 *
 * @param {{ transporter: string, channels?: string, makeGroup?: (topic: string, group: string) => Promise<void> }} options
 */
export async function moleculer({ transporter, channels, makeGroup }) {
  const broker = new ServiceBroker({
    nodeID: randomUUID(),
    logger: false,
    transporter,
    middlewares: channels === undefined ? [] : [Channels({ adapter: channels })],
  });
  await broker.start();
  const serviceOf = (topic) => topic.replaceAll('.', '-');

  async function serve(topic, schema) {
    const service = broker.createService({ name: serviceOf(topic), ...schema });
    await broker.waitForServices(serviceOf(topic));
    return { stop: async () => void (await broker.destroyService(service)) };
  }
  async function consume(topic, handle, section, options) {
    let done = 0;
    async function count(payload) {
      await handle(payload);
      done++;
    }
    // Moleculer tells the signature of an event's handler by the name of its parameter.
    const handler = section === 'events' ? (ctx) => count(ctx.params) : count;
    const { stop } = await serve(topic, { [section]: { [topic]: { ...options, handler } } });
    return { done: () => done, stop };
  }

  const durable = {
    prepare: (topic) => makeGroup(topic, 'bench'),
    publish: async (topic, payloads) =>
      void (await Promise.all(payloads.map((payload) => broker.sendToChannel(topic, payload)))),
    consume: (topic, handle) => consume(topic, handle, 'channels', { group: 'bench', maxInFlight: 100 }),
  };
  return {
    ...(channels === undefined ? {} : { durable }),
    ephemeral: {
      async publish(topic, payloads) {
        await broker.waitForServices(serviceOf(topic));
        await Promise.all(payloads.map((payload) => broker.emit(topic, payload)));
      },
      consume: (topic, handle) => consume(topic, handle, 'events'),
    },
    requests: {
      respond: (topic) => serve(topic, { actions: { ask: ({ params }) => params } }),
      async ask(topic, payload) {
        const name = serviceOf(topic);
        if (!broker.registry.hasService(name)) await broker.waitForServices(name);
        return broker.call(`${name}.ask`, payload);
      },
    },
    close: () => broker.stop(),
  };
}
