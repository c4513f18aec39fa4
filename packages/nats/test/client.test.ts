import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, type NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeEach(async () => {
  server = await startServer('nats', { quiet: true });
});
afterEach(() => server.close());

/** What hangs on a connection: inside of the driver. */
function hanging(client: NatsConnection): number {
  const { protocol, listeners } = client as unknown as {
    protocol: { listeners: unknown[]; subscriptions: { size(): number } };
    listeners: unknown[];
  };
  return protocol.subscriptions.size() + protocol.listeners.length + listeners.length;
}

it('leaves nothing on a connection that was given to it', async () => {
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const before = hanging(client);
  for (let round = 0; round < 3; round++) {
    const bus = await createBus({
      broker: nats({ client }),
      topics: { e: { durability: 'ephemeral' } },
    });
    await bus.subscribe('a', () => {}, { group: 'g' });
    await bus.subscribe('a', () => {});
    await bus.subscribe('e', () => {});
    await bus.respond('q', () => 1);
    await bus.request('q', 1);
    await bus.publish('a', 1, { key: 'k' });
    expect(hanging(client)).toBeGreaterThan(before);
    await bus.close();
    expect(hanging(client)).toBe(before);
  }
  expect(client.isClosed()).toBe(false);
  await client.close();
});

it('fails at once when the connection that was given to it has ended for good', async () => {
  const client = await connect({
    servers: `127.0.0.1:${server.port}`,
    maxReconnectAttempts: 1,
    reconnectTimeWait: 50,
  });
  await using bus = await createBus({
    broker: nats({ client }),
    topics: { e: { durability: 'ephemeral' } },
    publishTimeout: 60_000,
    logger: false,
  });
  const ended: string[] = [];
  bus.on('subscription.failed', ({ pattern }) => void ended.push(pattern));
  await bus.subscribe('a', () => {}, { group: 'g' });
  await bus.subscribe('b', () => {});
  await bus.subscribe('e', () => {});
  await server.kill9();
  const waiting = bus.publish('a', 1);
  const start = Date.now();
  await expect(waiting).rejects.toThrow('maxReconnectAttempts');
  await expect(bus.publish('a', 2)).rejects.toThrow('maxReconnectAttempts');
  await expect(bus.publish('e', 2)).rejects.toThrow('maxReconnectAttempts');
  expect(Date.now() - start).toBeLessThan(20_000);
  await expect.poll(() => ended.toSorted()).toEqual(['a', 'b', 'e']);
}, 60_000);

it('does not stand still when the connection that was given to it was closed under a handler', async () => {
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  await using bus = await createBus({ broker: nats({ client }), logger: false });
  const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await bus.subscribe(
    'a',
    async () => {
      begun.resolve();
      await end.promise;
    },
    { group: 'g' },
  );
  await bus.publish('a', 1);
  await begun.promise;
  await client.close();
  const start = Date.now();
  end.resolve();
  // Nothing but a timer tells that others have their turn.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(Date.now() - start).toBeLessThan(5_000);
}, 60_000);

it('waits for a connection that was given to it and is being made again', async () => {
  const client = await connect({
    servers: `127.0.0.1:${server.port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  const { protocol } = client as unknown as { protocol: { connected: boolean } };
  await server.kill9();
  await expect.poll(() => protocol.connected, { timeout: 10_000 }).toBe(false);
  await using bus = await createBus({ broker: nats({ client }), publishTimeout: 60_000, logger: false });
  const published = bus.publish('a', 1);
  await server.restart();
  const start = Date.now();
  await published;
  expect(Date.now() - start).toBeLessThan(20_000);
  await bus.close();
  await client.close();
}, 90_000);
