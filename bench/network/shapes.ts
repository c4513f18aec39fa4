import { randomBytes } from 'node:crypto';
import type { ServerKind } from './bench.ts';
import type { Size } from './contestant.ts';
import type { Pair } from './program.ts';
import type { Way } from './worker.ts';

/** Messages that wait for their confirmation at a time, and requests in flight. */
const WINDOW = 1_000;
const IN_FLIGHT = 100;

/** What is measured: a rate per second, or milliseconds. */
export interface Shape {
  readonly name: string;
  readonly needs: 'durable' | 'ephemeral' | 'requests';
  readonly unit: 'per second' | 'ms';
  /** How many messages take about a second. */
  readonly count: number;
  readonly sizes: readonly Size[];
  /** Servers that it is about; all where it is missing. */
  readonly servers?: readonly ServerKind[];
  run(pair: Pair, size: Size, count: number): Promise<number>;
}

const SIZES: readonly Size[] = ['100 B', '1 KB'];
const freshTopic = (): string => `bench.t${randomBytes(5).toString('hex')}`;
const rate = (count: number, start: number, end: number): number => (count / (end - start)) * 1_000;
const whole = (count: number): number => Math.max(1, Math.round(count / WINDOW)) * WINDOW;

interface Span {
  readonly start: number;
  readonly end: number;
}

const publishing = (pair: Pair, way: Way, topic: string, size: Size, count: number): Promise<Span> =>
  pair.publisher.call<Span>({ do: 'publish', way, topic, size, count, window: Math.min(WINDOW, count) });

async function consumed(pair: Pair, count: number): Promise<number> {
  const end = await pair.consumer.call<number>({ do: 'await', count });
  await pair.consumer.call({ do: 'stop' });
  return end;
}

/** Published while it is consumed, from the first publish to the last ack. */
async function live(pair: Pair, way: Way, size: Size, wanted: number, members = 1): Promise<number> {
  const count = whole(wanted);
  const topic = freshTopic();
  if (way === 'durable') await pair.consumer.call({ do: 'prepare', topic });
  await pair.consumer.call({ do: 'consume', way, topic, members });
  const { start } = await publishing(pair, way, topic, size, count);
  return rate(count, start, await consumed(pair, count));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

export const SHAPES: readonly Shape[] = [
  {
    name: 'publish, durable',
    needs: 'durable',
    unit: 'per second',
    count: 40_000,
    sizes: SIZES,
    async run(pair, size, wanted) {
      const count = whole(wanted);
      const topic = freshTopic();
      await pair.publisher.call({ do: 'prepare', topic });
      const { start, end } = await publishing(pair, 'durable', topic, size, count);
      return rate(count, start, end);
    },
  },
  {
    name: 'drain a backlog, group, acked',
    needs: 'durable',
    unit: 'per second',
    count: 40_000,
    sizes: SIZES,
    async run(pair, size, wanted) {
      const count = whole(wanted);
      const topic = freshTopic();
      await pair.consumer.call({ do: 'prepare', topic });
      await publishing(pair, 'durable', topic, size, count);
      const start = await pair.consumer.call<number>({ do: 'consume', way: 'durable', topic });
      return rate(count, start, await consumed(pair, count));
    },
  },
  {
    name: 'live, durable, group, acked',
    needs: 'durable',
    unit: 'per second',
    count: 40_000,
    sizes: SIZES,
    run: (pair, size, count) => live(pair, 'durable', size, count),
  },
  ...[1, 3].map(
    (members): Shape => ({
      name: `produced and consumed at once, group of ${members}`,
      needs: 'durable',
      unit: 'per second',
      count: 100_000,
      sizes: ['1 KB'],
      servers: ['kafka'],
      run: (pair, size, count) => live(pair, 'durable', size, count, members),
    }),
  ),
  {
    name: 'from subscribing to the first message',
    needs: 'durable',
    unit: 'ms',
    count: 1,
    sizes: ['100 B'],
    servers: ['kafka'],
    async run(pair, size) {
      const topic = freshTopic();
      await pair.consumer.call({ do: 'prepare', topic });
      await publishing(pair, 'durable', topic, size, 1);
      const start = await pair.consumer.call<number>({ do: 'consume', way: 'durable', topic });
      return (await consumed(pair, 1)) - start;
    },
  },
  {
    name: 'until all is consumed again when one of three members has gone',
    needs: 'durable',
    unit: 'ms',
    count: 60,
    sizes: ['100 B'],
    servers: ['kafka'],
    async run(pair, size, count) {
      const topic = freshTopic();
      await pair.consumer.call({ do: 'prepare', topic });
      await pair.consumer.call({ do: 'consume', way: 'durable', topic, members: 3 });
      await publishing(pair, 'durable', topic, size, count);
      await pair.consumer.call({ do: 'await', count });
      const start = await pair.consumer.call<number>({ do: 'leave' });
      await publishing(pair, 'durable', topic, size, count);
      return (await consumed(pair, 2 * count)) - start;
    },
  },
  {
    name: 'live, ephemeral',
    needs: 'ephemeral',
    unit: 'per second',
    count: 60_000,
    sizes: SIZES,
    run: (pair, size, count) => live(pair, 'ephemeral', size, count),
  },
  {
    name: `request/reply, ${IN_FLIGHT} in flight`,
    needs: 'requests',
    unit: 'per second',
    count: 20_000,
    sizes: SIZES,
    async run(pair, size, count) {
      const topic = freshTopic();
      await pair.consumer.call({ do: 'respond', topic });
      const { start, end } = await pair.publisher.call<Span>({
        do: 'ask',
        topic,
        size,
        count,
        window: IN_FLIGHT,
      });
      await pair.consumer.call({ do: 'stop' });
      return rate(count, start, end);
    },
  },
  {
    name: 'p50 from publish to handler at 200 per second',
    needs: 'durable',
    unit: 'ms',
    count: 400,
    sizes: ['100 B'],
    async run(pair, _size, count) {
      const topic = freshTopic();
      await pair.consumer.call({ do: 'prepare', topic });
      await pair.consumer.call({ do: 'consume', way: 'durable', topic });
      await pair.publisher.call({ do: 'tick', topic, count, every: 5 });
      await consumed(pair, count);
      return median(await pair.consumer.call<number[]>({ do: 'latencies' }));
    },
  },
  {
    name: 'p50 of a single request',
    needs: 'requests',
    unit: 'ms',
    count: 300,
    sizes: ['100 B'],
    async run(pair, _size, count) {
      const topic = freshTopic();
      await pair.consumer.call({ do: 'respond', topic });
      const times = await pair.publisher.call<number[]>({ do: 'ask-singly', topic, count });
      await pair.consumer.call({ do: 'stop' });
      return median(times);
    },
  },
];
