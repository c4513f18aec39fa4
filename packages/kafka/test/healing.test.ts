import { setTimeout } from 'node:timers/promises';
import { type Bus, createBus, silentLogger } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { describe, expect, it, vi } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { shared } from './support/shared.ts';
import { startKafka } from './support/start.ts';

const makeBus = ({ nodes }: Server, options: KafkaOptions = {}, more: object = {}): Promise<Bus> =>
  createBus({
    broker: kafka({ brokers: nodes.map(({ host, port }) => `${host}:${port}`), partitions: 3, ...options }),
    logger: silentLogger,
    ...more,
  });

/** Counts what a bus says of its connection. */
function outages(bus: Bus): { readonly count: number } {
  const seen = { count: 0 };
  bus.on('disconnected', () => void seen.count++);
  return seen;
}

it('a connection that the server closes because it is idle is no outage', { timeout: 60_000 }, async () => {
  const server = await shared({ properties: { 'connections.max.idle.ms': '3000' } });
  await using bus = await makeBus(server);
  await bus.connect();
  const lost = outages(bus);
  const got: unknown[] = [];
  await bus.subscribe('idle', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('idle', 1);
  // The server looks only now and then.
  await setTimeout(10_000);
  await bus.publish('idle', 2);
  await vi.waitFor(() => expect(got).toEqual([1, 2]), 5_000);
  expect(lost.count).toBe(0);
});

it('an outage of 40 seconds loses nothing of what is published during it', { timeout: 150_000 }, async () => {
  const server = await startKafka();
  const [bus, publisher] = [await makeBus(server), await makeBus(server, {}, { publishTimeout: 90_000 })];
  const got = new Set<unknown>();
  await bus.subscribe('outage', ({ data }) => void got.add(data), { group: 'g' });
  await publisher.publish('outage', 'before');
  await vi.waitFor(() => expect(got.size).toBe(1), 10_000);
  await server.kill9();
  const down = setTimeout(40_000);
  const sent = Array.from({ length: 200 }, async (_, n) => {
    await setTimeout(n * 150);
    await publisher.publish('outage', n, { key: `k${n % 7}` });
  });
  await down;
  await server.nodes[0]!.start();
  await Promise.all(sent);
  await publisher.publish('outage', 'after');
  await vi.waitFor(() => expect(got.size).toBe(202), 30_000);
  await Promise.all([bus.close(), publisher.close()]);
  await server.close();
});

describe('with one of three servers down', () => {
  it('groups are listed, and connections to the others stay', { timeout: 120_000 }, async () => {
    const server = await shared({ cluster: 3 });
    await using bus = await makeBus(server, { replicationFactor: 3 });
    const got: unknown[] = [];
    await bus.subscribe('nodes', ({ data }) => void got.push(data), { group: 'g' });
    await bus.publish('nodes', 1);
    await vi.waitFor(() => expect(got).toEqual([1]), 10_000);
    const lost = outages(bus);
    const node = server.nodes[2]!;
    await node.kill9();
    // What the dead one coordinated is the others' in a moment.
    await vi.waitFor(async () => {
      const listed = await bus.admin.listGroups();
      expect(listed.map(({ group }) => group)).toEqual(['g']);
    }, 20_000);
    await bus.publish('nodes', 2);
    await vi.waitFor(() => expect(got).toEqual([1, 2]), 20_000);
    expect(lost.count).toBeLessThan(2);
    await node.start();
  });
});

describe('what clients of Kafka are known for', () => {
  it('does not happen: the first message is here in a second, a close is quick, nothing warns', async () => {
    const server = await shared({ properties: { 'connections.max.idle.ms': '3000' } });
    const warnings: unknown[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.message);
    process.on('warning', warned);
    const bus = await makeBus(server);
    await bus.connect();
    await bus.publish('quick', 0);
    const began = performance.now();
    const first = Promise.withResolvers<void>();
    await bus.subscribe('quick', () => first.resolve(), { group: 'g' });
    await bus.publish('quick', 1);
    await first.promise;
    const came = performance.now();
    await bus.close();
    const closed = performance.now();
    process.off('warning', warned);
    // A busy machine needs longer; rebalances as they are usual take three seconds and more.
    expect([came - began < 2_000, closed - came < 1_000, warnings]).toEqual([true, true, []]);
  });
});
