import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Consuming, Contestant, OnPayload } from '../network/contestant.ts';

const GROUP = 'bench';
const FETCH = 500;

/** Bare ioredis with the guarantees of the bus: streams with a group, each message acked once it is handled. */
export const contestant: Contestant = {
  async open(url) {
    const client = new Redis(url);
    const subscriber = new Redis(url);
    const answers = new Map<string, (payload: unknown) => void>();
    const inbox = `inbox:${randomUUID()}`;
    const handlers = new Map<string, (body: Buffer) => unknown>();
    subscriber.on('messageBuffer', (channel: Buffer, body: Buffer) =>
      handlers.get(channel.toString())?.(body),
    );

    const listen = async (channel: string, handle: (body: Buffer) => unknown): Promise<void> => {
      handlers.set(channel, handle);
      await subscriber.subscribe(channel);
    };
    await listen(inbox, (body) => {
      const { id, payload } = JSON.parse(body.toString()) as { id: string; payload: unknown };
      answers.get(id)?.(payload);
      answers.delete(id);
    });

    // Requests and answers of a tick go out together, as a careful program would send them.
    let out: [string, string][] = [];
    const send = (channel: string, body: string): void => {
      if (out.length === 0) {
        setImmediate(() => {
          const pipeline = client.pipeline();
          for (const [to, text] of out) pipeline.publish(to, text);
          out = [];
          void pipeline.exec();
        });
      }
      out.push([channel, body]);
    };
    let last = 0;

    return {
      durable: {
        async prepare(topic) {
          await client.xgroup('CREATE', topic, GROUP, '$', 'MKSTREAM');
        },
        async publish(topic, payloads) {
          const pipeline = client.pipeline();
          for (const payload of payloads) pipeline.xadd(topic, '*', 'body', JSON.stringify(payload));
          for (const [error] of (await pipeline.exec())!) if (error) throw error;
        },
        consume: (topic, handle) => consumeStream(url, client, topic, handle),
      },
      ephemeral: {
        async publish(topic, payloads) {
          const pipeline = client.pipeline();
          for (const payload of payloads) pipeline.publish(topic, JSON.stringify(payload));
          await pipeline.exec();
        },
        async consume(topic, handle) {
          let done = 0;
          await listen(topic, async (body) => {
            await handle(JSON.parse(body.toString()));
            done++;
          });
          return { done: () => done, stop: async () => void (await subscriber.unsubscribe(topic)) };
        },
      },
      requests: {
        async respond(topic) {
          await listen(topic, (body) => {
            const { id, to, payload } = JSON.parse(body.toString());
            send(to, JSON.stringify({ id, payload }));
          });
          return { stop: async () => void (await subscriber.unsubscribe(topic)) };
        },
        ask(topic, payload) {
          return new Promise((resolve) => {
            const id = String(++last);
            answers.set(id, resolve);
            send(topic, JSON.stringify({ id, to: inbox, payload }));
          });
        },
      },
      async close() {
        client.disconnect();
        subscriber.disconnect();
      },
    };
  },
};

async function consumeStream(
  url: string,
  client: Redis,
  topic: string,
  handle: OnPayload,
): Promise<Consuming> {
  const reader = new Redis(url);
  const member = randomUUID();
  let done = 0;
  let stopped = false;
  const loop = async (): Promise<void> => {
    while (!stopped) {
      const read = (await reader.callBuffer(
        'XREADGROUP',
        'GROUP',
        GROUP,
        member,
        'COUNT',
        FETCH,
        'BLOCK',
        1_000,
        'STREAMS',
        topic,
        '>',
      )) as [Buffer, [Buffer, Buffer[]][]][] | null;
      const entries = read?.[0]?.[1] ?? [];
      if (entries.length === 0) continue;
      const ids: Buffer[] = [];
      for (const [id, fields] of entries) {
        await handle(JSON.parse(fields[1]!.toString()));
        ids.push(id);
      }
      void client.xack(topic, GROUP, ...ids).then((count) => (done += count));
    }
  };
  const running = loop().catch(() => {});
  return {
    done: () => done,
    async stop() {
      stopped = true;
      reader.disconnect();
      await running;
    },
  };
}
