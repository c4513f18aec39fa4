import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bus, type BusOptions, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type NatsOptions, nats } from '../src/index.ts';

const busOf = (server: Server, options: NatsOptions = {}, more: Partial<BusOptions> = {}): Promise<Bus> =>
  createBus({ broker: nats({ url: server.url, ...options }), ...more });

/** What a group on the topic gets. */
async function collect(bus: Bus, topic: string, group = 'g'): Promise<unknown[]> {
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { group });
  return got;
}

describe('on a server that cannot schedule', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer('nats', { version: '2.11', quiet: true });
    expect(server.version).toContain('2.11');
  });
  afterAll(() => server.close());

  it('the buses deliver a delayed message when it is due, of each class', async () => {
    await using bus = await busOf(server);
    const at: [unknown, number][] = [];
    await bus.subscribe('due', ({ data }) => void at.push([data, Date.now()]), { group: 'g' });
    const start = Date.now();
    await bus.publish('due', 'plain', { delay: 600 });
    await bus.publish('due', 'keyed', { delay: 600, key: 'k' });
    await bus.publish('due', 'urgent', { delay: 600, priority: 'critical' });
    await bus.publish('due', 'now');
    await expect.poll(() => at.length, { timeout: 10_000 }).toBe(4);
    expect(at.map(([data]) => data).toSorted()).toEqual(['keyed', 'now', 'plain', 'urgent']);
    for (const [data, time] of at) if (data !== 'now') expect(time - start).toBeGreaterThanOrEqual(590);
  });

  it('one that is cancelled never comes', async () => {
    await using bus = await busOf(server);
    const got = await collect(bus, 'cancelled');
    const receipt = await bus.publish('cancelled', 'taken back', { delay: 500 });
    await bus.publish('cancelled', 'kept', { delay: 800 });
    expect(await bus.cancel(receipt)).toBe(true);
    await expect.poll(() => got, { timeout: 10_000 }).toEqual(['kept']);
    expect(await bus.cancel(receipt)).toBe(false);
  });

  it('a bus that closes holds up none', { timeout: 30_000 }, async () => {
    await using bus = await busOf(server);
    const late: number[] = [];
    await bus.subscribe<number>('held', ({ data }) => void late.push(Date.now() - data), { group: 'g' });
    let published = 0;
    for (let round = 0; round < 20; round++) {
      const others = await Promise.all(Array.from({ length: 4 }, () => busOf(server)));
      for (const other of others) await other.subscribe('other', () => {});
      const publishes = Array.from({ length: 50 }, (_, n) =>
        bus.publish('held', Date.now() + n, { delay: Math.max(n, 1) }),
      );
      published += publishes.length;
      await Promise.all(publishes);
      await Promise.all(others.map((other) => other.close()));
    }
    await expect.poll(() => late.length, { timeout: 20_000 }).toBe(published);
    expect(Math.max(...late)).toBeLessThan(3_000);
  });

  it('a purge of one topic takes no delayed message of another along', async () => {
    await using bus = await busOf(server);
    const got = await collect(bus, 'beside.*');
    for (let n = 0; n < 5; n++) await bus.publish('beside.kept', n, { delay: 1_000 });
    await bus.publish('beside.kept', 'late', { delay: 1_200 });
    await bus.publish('beside.purged', 'purged', { delay: 1_200 });
    for (let n = 5; n < 8; n++) await bus.publish('beside.kept', n, { delay: 1_000 });
    // All of them are with the consumer that holds them.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await bus.admin.purge('beside.purged')).toBe(1);
    // Those that are due within a moment of each other may come in any order.
    await expect.poll(() => got.toSorted(), { timeout: 10_000 }).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 'late']);
  });

  it('it survives a restart of the server, and of its publisher', async () => {
    {
      await using publisher = await busOf(server);
      await publisher.admin.ensureGroup('restarted', 'g', 'new');
      await publisher.publish('restarted', 'late', { delay: 1_500 });
    }
    await using bus = await busOf(server);
    await server.restart();
    const got = await collect(bus, 'restarted');
    await expect.poll(() => got, { timeout: 20_000 }).toEqual(['late']);
  });
});

/** Two servers of different versions, one after the other, on the same store. */
async function upgraded(
  before: (server: Server) => Promise<void>,
  after: (server: Server) => Promise<void>,
): Promise<void> {
  const store = await mkdtemp(join(tmpdir(), 'ambus-nats-'));
  const options = { jetStream: false, config: `jetstream { store_dir: "${store}" }`, quiet: true } as const;
  try {
    {
      await using server = await startServer('nats', { ...options, version: '2.11', via: 'native' });
      await before(server);
      await server.stop();
    }
    await using server = await startServer('nats', { ...options, version: '2.15', via: 'native' });
    await after(server);
  } finally {
    await rm(store, { recursive: true, force: true });
  }
}

it('goes on over an upgrade to a server that can schedule', async () => {
  await upgraded(
    async (server) => {
      await using bus = await busOf(server);
      await bus.admin.ensureGroup('up', 'g', 'new');
      await bus.publish('up', 'old', { delay: 3_000 });
    },
    async (server) => {
      await using bus = await busOf(server);
      await bus.publish('up', 'new', { delay: 300 });
      const got = await collect(bus, 'up');
      await bus.publish('up', 'newer', { delay: 300 });
      await expect.poll(() => got.toSorted(), { timeout: 15_000 }).toEqual(['new', 'newer', 'old']);
      const client = bus.native() as NatsConnection;
      const { config } = await (await client.jetstreamManager()).streams.info('ambus');
      expect(config).toMatchObject({ allow_msg_schedules: true });
    },
  );
}, 60_000);

it('goes on over an upgrade with what was delayed by who might make nothing', async () => {
  await upgraded(
    async (server) => {
      await using bus = await busOf(server);
      await bus.admin.ensureGroup('up', 'g', 'new');
      await using restricted = await busOf(server, {}, { provision: 'none' });
      await restricted.publish('up', 'old', { delay: 500 });
    },
    async (server) => {
      await using bus = await busOf(server);
      const got = await collect(bus, 'up');
      await expect.poll(() => got, { timeout: 10_000 }).toEqual(['old']);
    },
  );
}, 60_000);

it('a purge after an upgrade takes no delayed message of another topic along', async () => {
  await upgraded(
    async (server) => {
      await using bus = await busOf(server);
      await bus.admin.ensureGroup('beside.*', 'g', 'new');
      for (let n = 0; n < 3; n++) await bus.publish('beside.kept', n, { delay: 4_000 });
      await bus.publish('beside.kept', 'late', { delay: 4_300 });
      await bus.publish('beside.purged', 'purged', { delay: 4_300 });
      for (let n = 3; n < 5; n++) await bus.publish('beside.kept', n, { delay: 4_000 });
      const { consumers } = await (bus.native() as NatsConnection).jetstreamManager();
      const held = async () => (await consumers.info('ambus', 'delays')).num_ack_pending;
      await expect.poll(held).toBe(7);
    },
    async (server) => {
      await using bus = await busOf(server);
      const got = await collect(bus, 'beside.*');
      expect(await bus.admin.purge('beside.purged')).toBe(1);
      await expect.poll(() => got.toSorted(), { timeout: 10_000 }).toEqual([0, 1, 2, 3, 4, 'late']);
    },
  );
}, 60_000);

it('delivers what is left by a bus that has not heard that the server can schedule', async () => {
  await using server = await startServer('nats', { quiet: true });
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const { streams } = await client.jetstreamManager();
  await streams.add({ name: 'ambus', subjects: ['ambus.>'], allow_rollup_hdrs: true });
  await client.close();
  const old = await busOf(server, {}, { provision: 'none' });
  await old.publish('held', 'now');
  await using bus = await busOf(server);
  const got = await collect(bus, 'held');
  await old.publish('held', 'late', { delay: 2_000 });
  await old.close();
  // Rather than wait for it.
  const now = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 61_000);
  try {
    await expect.poll(() => got, { timeout: 10_000 }).toEqual(['late']);
  } finally {
    vi.restoreAllMocks();
  }
});

it('takes a stream of its subjects that somebody made without anything else', async () => {
  await using server = await startServer('nats', { quiet: true });
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const manager = await client.jetstreamManager();
  await manager.streams.add({ name: 'mine', subjects: ['ambus.t.>', 'ambus.s.>', 'ambus.m.>'] });
  await client.close();
  await using bus = await busOf(server, { stream: { name: 'mine' } });
  const got = await collect(bus, 'made');
  await bus.publish('made', 'late', { delay: 300 });
  await bus.publish('made', 'keyed', { key: 'k' });
  await expect.poll(() => got.toSorted(), { timeout: 10_000 }).toEqual(['keyed', 'late']);
  expect((await bus.admin.group('made', 'g'))?.members).toBe(1);
});

it('holds what is due later than the server can count', async () => {
  await using server = await startServer('nats', { quiet: true });
  await using bus = await busOf(server);
  const got = await collect(bus, 'far');
  const far = await bus.publish('far', 'far', { deliverAt: new Date('9999-12-31T23:59:59.999Z') });
  // The server looks for what is due four times a second.
  for (let n = 0; n < 4; n++) await bus.publish('far', n, { delay: 300 * (n + 1) });
  await expect.poll(() => got, { timeout: 10_000 }).toEqual([0, 1, 2, 3]);
  expect(await bus.cancel(far)).toBe(true);
});
