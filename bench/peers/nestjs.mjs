// NestJS microservices by its transports alone (client and server strategy), without the framework's own pipeline of guards,
// pipes and interceptors around each handler: the best that it can do.
import 'reflect-metadata';
import { firstValueFrom, from, lastValueFrom } from 'rxjs';

/**
 * @param {() => import('@nestjs/microservices').ClientProxy} makeClient
 * @param {() => import('@nestjs/microservices').Server} makeServer
 */
export function nestjs(makeClient, makeServer) {
  return {
    async open() {
      const client = makeClient();
      await client.connect();
      async function serve(topic, handler, isEvent) {
        const server = makeServer();
        server.addHandler(topic, handler, isEvent);
        await new Promise((resolve, reject) => server.listen((error) => (error ? reject(error) : resolve())));
        // Its server does not tell when its subscriptions are in place.
        await new Promise((resolve) => setTimeout(resolve, 100));
        return { stop: async () => void (await server.close()) };
      }
      return {
        ephemeral: {
          async publish(topic, payloads) {
            await Promise.all(
              payloads.map((payload) => lastValueFrom(client.emit(topic, payload), { defaultValue: 0 })),
            );
          },
          async consume(topic, handle) {
            let done = 0;
            const { stop } = await serve(
              topic,
              async (payload) => {
                await handle(payload);
                done++;
              },
              true,
            );
            return { done: () => done, stop };
          },
        },
        requests: {
          respond: (topic) => serve(topic, async (payload) => from([payload]), false),
          ask: (topic, payload) => firstValueFrom(client.send(topic, payload)),
        },
        close: async () => void (await client.close()),
      };
    },
  };
}
