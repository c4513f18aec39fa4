import { type Bus, createBus, type Message } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { kafka } from '../src/index.ts';
import { rawKafka } from './support/client.ts';
import { startKafka } from './support/start.ts';

const MANY = 500;

let server: Server;
beforeAll(async () => {
  server = await startKafka();
});
afterAll(() => server.close());

function makeBus(): Promise<Bus> {
  const brokers = `${server.host}:${server.port}`;
  return createBus({ broker: kafka({ brokers, partitions: 3 }), logger: false });
}

function publishMany(bus: Bus, topic: string): Promise<unknown> {
  return Promise.all(Array.from({ length: MANY }, (_, n) => bus.publish(topic, n)));
}

/** Resolves when the group has heard that all of these are gone. */
async function heard(topic: string): Promise<void> {
  const admin = rawKafka(`${server.host}:${server.port}`).admin();
  await admin.connect();
  await vi.waitFor(async () => {
    const [found] = await admin.fetchOffsets({ groupId: `ambus.g.${topic}`, topics: [`ambus.${topic}`] });
    expect(found!.partitions.reduce((sum, { offset }) => sum + Number(offset), 0)).toBe(MANY);
  }, 5_000);
  await admin.disconnect();
}

/** A handler that is busy with the first until it is let go on. */
function busy() {
  const seen: unknown[] = [];
  const first = Promise.withResolvers<void>();
  const handle = ({ data }: Message): Promise<void> => {
    seen.push(data);
    return first.promise;
  };
  return { seen, handle, goOn: first.resolve };
}

it('takes from a group on another bus what it has read ahead', async () => {
  await using bus = await makeBus();
  await using other = await makeBus();
  const { seen, handle, goOn } = busy();
  await bus.subscribe('ahead.group', handle, { group: 'g', concurrency: 1 });
  await publishMany(bus, 'ahead.group');
  await vi.waitFor(() => expect(seen).toHaveLength(1), 5_000);
  expect(await other.admin.purge('ahead.group')).toBe(MANY);
  await heard('ahead.group');
  await other.publish('ahead.group', 'behind');
  goOn();
  await vi.waitFor(() => expect(seen).toContain('behind'), 5_000);
  expect(seen).toHaveLength(2);
});

it('takes from a group what it has read ahead while it is paused', async () => {
  await using bus = await makeBus();
  const { seen, handle, goOn } = busy();
  const subscription = await bus.subscribe('paused', handle, { group: 'g', concurrency: 1 });
  await publishMany(bus, 'paused');
  await vi.waitFor(() => expect(seen).toHaveLength(1), 5_000);
  await subscription.pause();
  await bus.admin.purge('paused');
  await bus.publish('paused', 'behind');
  goOn();
  await subscription.resume();
  await vi.waitFor(() => expect(seen).toContain('behind'), 5_000);
  expect(seen).toHaveLength(2);
});

it('takes from a live subscription what core has not got yet', async () => {
  await using bus = await makeBus();
  const { seen, handle, goOn } = busy();
  await bus.subscribe('ahead.live', handle, { concurrency: 1 });
  await publishMany(bus, 'ahead.live');
  await vi.waitFor(() => expect(seen).toHaveLength(1), 5_000);
  await bus.admin.purge('ahead.live');
  await bus.publish('ahead.live', 'behind');
  goOn();
  await vi.waitFor(() => expect(seen).toContain('behind'), 5_000);
  expect(seen.length).toBeLessThan(MANY / 2);
});

it('takes back what is delayed', async () => {
  await using bus = await makeBus();
  const seen: unknown[] = [];
  await bus.subscribe('delayed', ({ data }) => void seen.push(data), { group: 'g' });
  await bus.subscribe('delayed', ({ data }) => void seen.push(data));
  await Promise.all(Array.from({ length: 10 }, (_, n) => bus.publish('delayed', n, { delay: 1_200 })));
  expect(await bus.admin.purge('delayed')).toBe(10);
  await bus.publish('delayed', 'behind', { delay: 1_200 });
  await vi.waitFor(() => expect(seen.filter((data) => data === 'behind')).toHaveLength(2), 5_000);
  expect(seen).toEqual(['behind', 'behind']);
});
