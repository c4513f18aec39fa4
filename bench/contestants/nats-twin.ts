import { AckPolicy, connect, createInbox, DeliverPolicy, JSONCodec, type Msg } from 'nats';
import type { Contestant } from '../network/contestant.ts';

const STREAM = 'bench-twin';
const GROUP = 'bench';
const FETCH = 500;
const codec = JSONCodec<object>();

/** Bare nats.js with the guarantees of the bus: a file stream, a durable pull consumer, each message acked, and the ack confirmed, once it is handled. */
export const contestant: Contestant = {
  async open(url) {
    const connection = await connect({ servers: url });
    const jetstream = connection.jetstream();
    const manager = await connection.jetstreamManager();
    await manager.streams.add({ name: STREAM, subjects: ['bench.>'] }).catch(async () => {});
    const consumerOf = (topic: string): string => `${GROUP}-${topic.replaceAll('.', '-')}`;

    // One inbox for all answers, asked by hand: twice as fast as `connection.request`.
    const inbox = createInbox();
    const answers = new Map<string, (answer: object) => void>();
    connection.subscribe(`${inbox}.*`, {
      callback(_error, message) {
        const id = message.subject.slice(inbox.length + 1);
        answers.get(id)?.(codec.decode(message.data));
        answers.delete(id);
      },
    });
    let last = 0;

    return {
      durable: {
        async prepare(topic) {
          await manager.consumers.add(STREAM, {
            durable_name: consumerOf(topic),
            filter_subject: topic,
            ack_policy: AckPolicy.Explicit,
            deliver_policy: DeliverPolicy.New,
            max_ack_pending: -1,
          });
        },
        async publish(topic, payloads) {
          await Promise.all(payloads.map((payload) => jetstream.publish(topic, codec.encode(payload))));
        },
        async consume(topic, handle) {
          const consumer = await jetstream.consumers.get(STREAM, consumerOf(topic));
          let done = 0;
          const messages = await consumer.consume({
            max_messages: FETCH,
            async callback(message) {
              await handle(codec.decode(message.data));
              // Confirmed, as the bus's are: else one that is lost is a message that comes again.
              void message.ackAck().then(() => done++);
            },
          });
          return { done: () => done, stop: async () => void (await messages.close()) };
        },
      },
      ephemeral: {
        async publish(topic, payloads) {
          for (const payload of payloads) connection.publish(`live.${topic}`, codec.encode(payload));
          await connection.flush();
        },
        async consume(topic, handle) {
          let done = 0;
          const subscription = connection.subscribe(`live.${topic}`, {
            async callback(_error: Error | null, message: Msg) {
              await handle(codec.decode(message.data));
              done++;
            },
          });
          await connection.flush();
          return { done: () => done, stop: async () => subscription.unsubscribe() };
        },
      },
      requests: {
        async respond(topic) {
          const subscription = connection.subscribe(`ask.${topic}`, {
            callback: (_error, message) => void message.respond(codec.encode(codec.decode(message.data))),
          });
          await connection.flush();
          return { stop: async () => subscription.unsubscribe() };
        },
        ask(topic, payload) {
          return new Promise((resolve) => {
            const id = `${++last}`;
            answers.set(id, resolve);
            connection.publish(`ask.${topic}`, codec.encode(payload), { reply: `${inbox}.${id}` });
          });
        },
      },
      close: () => connection.close(),
    };
  },
};
