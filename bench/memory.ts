import { EventEmitter } from 'node:events';
import { type Bus, createBus, json, PatternIndex, type SubscribeOptions, type TopicRules } from '@ambus/core';
import { MemoryHub, memory } from '@ambus/memory';
import { measure, type Program, table } from './rounds.ts';

/** Publishes that are under way at a time; a publisher that does not wait at all measures a growing backlog instead. */
const WINDOW = 500;

const PAYLOADS = {
  '100 B': { id: 42, name: 'x'.repeat(60), tags: ['a', 'b'], ok: true },
  '1 KB': { id: 42, name: 'x'.repeat(900), tags: ['a', 'b', 'c'], nested: { a: 1, b: [1, 2, 3] }, ok: true },
} as const;

const perSecond = (count: number, start: number): number => (count / (performance.now() - start)) * 1_000;

/** What the bus is held against: a handler called at once, with a payload that has been through JSON as on a wire. */
function roundTripLoop(payload: object, count: number): Program {
  return {
    name: 'awaited call with a JSON round trip',
    async run() {
      let sum = 0;
      const handle = async (data: { id: number }): Promise<void> => {
        sum += data.id;
      };
      const start = performance.now();
      for (let i = 0; i < count; i++) await handle(JSON.parse(JSON.stringify(payload)));
      if (sum === 0) throw new Error('nothing was handled');
      return perSecond(count, start);
    },
  };
}

/** The same with the bytes that a wire has: what serializing alone costs any bus. */
function bytesLoop(payload: object, count: number): Program {
  const { serialize, deserialize } = json();
  const context = { topic: 'bench', headers: {} };
  return {
    name: 'awaited call through the bus’s serializer (JSON, UTF-8 bytes)',
    async run() {
      let sum = 0;
      const handle = async (data: { id: number }): Promise<void> => {
        sum += data.id;
      };
      const start = performance.now();
      for (let i = 0; i < count; i++) {
        await handle(deserialize(serialize(payload, context) as Uint8Array, context) as { id: number });
      }
      if (sum === 0) throw new Error('nothing was handled');
      return perSecond(count, start);
    },
  };
}

function emitterLoop(payload: object, count: number): Program {
  return {
    name: 'EventEmitter, no serialization',
    async run() {
      const emitter = new EventEmitter();
      let sum = 0;
      emitter.on('bench', (data: { id: number }) => {
        sum += data.id;
      });
      const start = performance.now();
      for (let i = 0; i < count; i++) emitter.emit('bench', payload);
      if (sum === 0) throw new Error('nothing was handled');
      return perSecond(count, start);
    },
  };
}

interface Shape {
  readonly name: string;
  readonly subscribers?: number;
  readonly options?: SubscribeOptions;
  readonly topics?: TopicRules;
}

/** Publishes `count` messages, a window at a time, until every subscriber has handled and acked them all. */
function throughput(shape: Shape, payload: object, count: number): Program {
  const { name, subscribers = 1, options = {}, topics = {} } = shape;
  return {
    name,
    async run() {
      await using bus: Bus = await createBus({ broker: memory({ hub: new MemoryHub() }), topics });
      let handled = 0;
      for (let i = 0; i < subscribers; i++) {
        await bus.subscribe('bench.topic', async () => void handled++, {
          prefetch: 256,
          concurrency: 16,
          ...options,
        });
      }
      const start = performance.now();
      for (let sent = 0; sent < count; sent += WINDOW) {
        const batch: Promise<unknown>[] = [];
        for (let i = 0; i < WINDOW; i++) batch.push(bus.publish('bench.topic', payload));
        await Promise.all(batch);
        while (handled < (sent - WINDOW) * subscribers) await new Promise(setImmediate);
      }
      while (bus.stats().acked < count * subscribers) await new Promise(setImmediate);
      return perSecond(count, start);
    },
  };
}

function requests(payload: object, count: number): Program {
  return {
    name: 'request/reply, 500 in flight',
    async run() {
      await using bus = await createBus({ broker: memory({ hub: new MemoryHub() }) });
      await bus.respond('bench.ask', (request) => request.data, { concurrency: 1_000 });
      const start = performance.now();
      for (let sent = 0; sent < count; sent += WINDOW) {
        await Promise.all(Array.from({ length: WINDOW }, () => bus.request('bench.ask', payload)));
      }
      return perSecond(count, start);
    },
  };
}

/** Looks topics up that were never looked up before, so that no cache helps. */
function lookups(patterns: number): Program {
  return {
    name: `${patterns.toLocaleString('en-US')} subscriptions`,
    async run() {
      const index = new PatternIndex<number>();
      for (let i = 0; i < patterns; i++) index.add(i % 2 === 0 ? `a.n${i}.*` : `a.n${i}.#`, i);
      const count = 50_000;
      const start = performance.now();
      let found = 0;
      for (let i = 0; i < count; i++) found += index.lookup(`a.n${i % patterns}.x${i}`).length;
      if (found !== count) throw new Error(`found ${found} of ${count}`);
      return perSecond(count, start);
    },
  };
}

async function latency(payload: object): Promise<string> {
  await using bus = await createBus({ broker: memory({ hub: new MemoryHub() }) });
  const times: number[] = [];
  let arrived = (): void => {};
  await bus.subscribe('bench.latency', () => arrived(), { group: 'bench' });
  for (let i = 0; i < 2_000; i++) {
    const start = performance.now();
    const handled = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await Promise.all([bus.publish('bench.latency', payload), handled]);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => `${(times[Math.floor(times.length * share)]! * 1_000).toFixed(0)} µs`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}`;
}

/** Measures the memory broker beside its limits. */
export async function benchMemory(rounds: number, scale: number): Promise<string> {
  const out: string[] = [];
  for (const [size, payload] of Object.entries(PAYLOADS)) {
    const count = 100_000 * scale;
    const measured = await measure(
      roundTripLoop(payload, count),
      [
        bytesLoop(payload, count),
        emitterLoop(payload, count),
        throughput(
          { name: 'publish → handler → ack, group, durable', options: { group: 'bench' } },
          payload,
          count,
        ),
        throughput(
          {
            name: 'the same, 1,000 messages retained instead of 10,000',
            options: { group: 'bench' },
            topics: { '#': { retention: { maxMessages: 1_000 } } },
          },
          payload,
          count,
        ),
        throughput(
          {
            name: 'the same, ephemeral',
            options: { group: 'bench' },
            topics: { '#': { durability: 'ephemeral' } },
          },
          payload,
          count,
        ),
        throughput({ name: 'publish → one live subscriber, durable' }, payload, count),
        throughput({ name: 'publish → ten live subscribers, durable', subscribers: 10 }, payload, count / 10),
        requests(payload, count / 2),
      ],
      rounds,
    );
    out.push(table(`memory, payloads of ${size}`, measured));
    out.push(`Latency, publish to handler, one at a time: ${await latency(payload)}.\n`);
  }
  const index = await measure(lookups(10), [lookups(1_000), lookups(10_000)], rounds);
  out.push(table('pattern lookup, topics never seen before', index));
  return out.join('\n');
}
