import { CompressionTypes, type Consumer, Kafka, logLevel } from 'kafkajs';
import type { Contestant } from '../network/contestant.ts';

const PARTITIONS = 6;

/** Bare kafkajs at its best: an idempotent producer with acks of all replicas, batches, `eachBatch` and commits by hand. */
export const contestant: Contestant = {
  async open(url) {
    const kafka = new Kafka({
      brokers: url.replace(/^kafka:\/\//, '').split(','),
      logLevel: logLevel.NOTHING,
    });
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    const admin = kafka.admin();
    await Promise.all([producer.connect(), admin.connect()]);
    return {
      durable: {
        async prepare(topic) {
          await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: PARTITIONS }] });
          const offsets = await admin.fetchTopicOffsets(topic);
          await admin.setOffsets({ groupId: `bench-${topic}`, topic, partitions: offsets });
        },
        async publish(topic, payloads) {
          const messages = payloads.map((payload) => ({ value: JSON.stringify(payload) }));
          await producer.send({ topic, messages, acks: -1, compression: CompressionTypes.None });
        },
        async consume(topic, handle, members) {
          let done = 0;
          const join = async (): Promise<Consumer> => {
            const consumer = kafka.consumer({ groupId: `bench-${topic}`, maxWaitTimeInMs: 100 });
            await consumer.connect();
            await consumer.subscribe({ topic });
            const joined = new Promise<void>((resolve) => {
              consumer.on(consumer.events.GROUP_JOIN, () => resolve());
            });
            await consumer.run({
              autoCommit: false,
              eachBatchAutoResolve: false,
              partitionsConsumedConcurrently: PARTITIONS,
              async eachBatch({ batch, resolveOffset }) {
                for (const { value, offset } of batch.messages) {
                  await handle(JSON.parse(value!.toString()));
                  resolveOffset(offset);
                }
                const offset = String(BigInt(batch.lastOffset()) + 1n);
                await consumer.commitOffsets([{ topic, partition: batch.partition, offset }]);
                done += batch.messages.length;
              },
            });
            await joined;
            return consumer;
          };
          const consumers = await Promise.all(Array.from({ length: members }, join));
          return {
            done: () => done,
            leave: async () => consumers.pop()?.disconnect(),
            async stop() {
              await Promise.all(consumers.map((consumer) => consumer.disconnect()));
            },
          };
        },
      },
      async close() {
        await Promise.all([producer.disconnect(), admin.disconnect()]);
      },
    };
  },
};
