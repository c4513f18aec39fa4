import { Queue, Worker } from 'bullmq';

export const contestant = {
  async open(url) {
    const { hostname: host, port } = new URL(url);
    const connection = { host, port: Number(port) };
    const queues = new Map();
    const queueOf = (topic) => {
      if (!queues.has(topic))
        queues.set(topic, new Queue(topic, { connection, defaultJobOptions: { removeOnComplete: true } }));
      return queues.get(topic);
    };
    return {
      durable: {
        prepare: async (topic) => void (await queueOf(topic).waitUntilReady()),
        async publish(topic, payloads) {
          await queueOf(topic).addBulk(payloads.map((data) => ({ name: 'bench', data })));
        },
        async consume(topic, handle) {
          let done = 0;
          const worker = new Worker(topic, ({ data }) => handle(data), { connection, concurrency: 100 });
          worker.on('completed', () => void done++);
          await worker.waitUntilReady();
          return { done: () => done, stop: () => worker.close(true) };
        },
      },
      close: async () => void (await Promise.all([...queues.values()].map((queue) => queue.close()))),
    };
  },
};
