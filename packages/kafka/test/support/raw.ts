import type { RawClient, RawMessage } from '@ambus/conformance';
import { Kafka, logLevel, Partitioners, type SASLOptions } from 'kafkajs';

/** What any program could do with kafkajs alone, and the names of `docs/wire-format.md`. */
export function rawClient(brokers: () => string, sasl?: SASLOptions): RawClient {
  const nameOf = (prefix: string, topic: string): string =>
    [prefix, topic].map((name) => name.replaceAll('-', '--').replaceAll('_', '-u')).join('.');
  const client = (): Kafka =>
    new Kafka({
      brokers: [brokers()],
      clientId: 'raw',
      logLevel: logLevel.NOTHING,
      retry: { retries: 3 },
      ...(sasl && { sasl }),
    });
  return {
    async publish(prefix, topic, { body, headers }) {
      const producer = client().producer({ createPartitioner: Partitioners.DefaultPartitioner });
      await producer.connect();
      const key = headers.ce_partitionkey ?? null;
      const message = { key, value: Buffer.from(body), headers: { ...headers } };
      await producer.send({ topic: nameOf(prefix, topic), messages: [message] });
      await producer.disconnect();
    },
    async read(prefix, topic) {
      const name = nameOf(prefix, topic);
      const admin = client().admin();
      await admin.connect();
      const ends = await admin.fetchTopicOffsets(name);
      await admin.disconnect();
      let left = ends.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
      const found: (RawMessage & { readonly at: number })[] = [];
      if (left === 0) return found;
      const groupId = `raw-${Math.random()}`;
      const consumer = client().consumer({ groupId, maxWaitTimeInMs: 100, sessionTimeout: 10_000 });
      await consumer.connect();
      await consumer.subscribe({ topic: name, fromBeginning: true });
      await new Promise<void>((resolve, reject) => {
        const eachMessage = async ({
          message,
        }: {
          message: { value: Buffer | null; headers?: object; timestamp: string };
        }): Promise<void> => {
          const headers = Object.entries(message.headers ?? {}).map(([key, value]) => [key, String(value)]);
          found.push({
            body: message.value ?? Buffer.alloc(0),
            headers: Object.fromEntries(headers),
            at: Number(message.timestamp),
          });
          if (--left === 0) resolve();
        };
        consumer.run({ autoCommit: false, eachMessage }).catch(reject);
      });
      await consumer.disconnect();
      return found.sort((a, b) => a.at - b.at);
    },
  };
}
