import { Kafka, type KafkaMessage, logLevel } from 'kafkajs';

/** kafkajs alone, without anything of ours. */
export function rawKafka(brokers: string, more: object = {}): Kafka {
  return new Kafka({ brokers: [brokers], clientId: 'raw', logLevel: logLevel.NOTHING, ...more });
}

/** A message as kafkajs sees it, and where. */
export type Seen = KafkaMessage & { readonly topic: string; readonly partition: number };

/** The first `count` messages that lie on Kafka topics, by offset within each partition. */
export async function readAll(client: Kafka, topics: readonly string[], count: number): Promise<Seen[]> {
  const consumer = client.consumer({
    groupId: `raw-${Math.random()}`,
    maxWaitTimeInMs: 50,
    retry: { retries: 10 },
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  const found: Seen[] = [];
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({
      topic,
      partition,
      message,
    }: {
      topic: string;
      partition: number;
      message: KafkaMessage;
    }): Promise<void> => {
      if (found.length < count) found.push({ ...message, topic, partition });
      if (found.length === count) resolve();
    };
    consumer.run({ autoCommit: false, eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return found;
}

/** Sends messages as any program would. */
export async function send(client: Kafka, ...batch: Parameters<Producer['send']>): Promise<void> {
  const producer = client.producer();
  await producer.connect();
  await producer.send(...batch);
  await producer.disconnect();
}

type Producer = ReturnType<Kafka['producer']>;

/** Header values as text. */
export function headersOf({ headers = {} }: KafkaMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
