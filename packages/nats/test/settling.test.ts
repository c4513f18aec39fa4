import { createBus, type Message } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

describe('on one server', () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer('nats', { quiet: true });
  });
  afterAll(() => server.close());

  it('refuses the ack of a message whose consumer was deleted, at once', async () => {
    await using bus = await createBus({ broker: nats({ url: server.url }), logger: false });
    const lost: string[] = [];
    bus.on('lease.lost', ({ reason }) => lost.push(reason));
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    await bus.subscribe(
      'deleted',
      async () => {
        begun.resolve();
        await end.promise;
      },
      { group: 'g' },
    );
    await bus.publish('deleted', 1);
    await begun.promise;
    const { consumers } = await (bus.native() as NatsConnection).jetstreamManager();
    for await (const { name } of consumers.list('ambus')) await consumers.delete('ambus', name);
    const start = Date.now();
    end.resolve();
    await expect.poll(() => lost, { timeout: 5_000 }).toEqual(['late']);
    expect(Date.now() - start).toBeLessThan(3_000);
  });
});

it('loses no ack while a consumer of a cluster changes its leader', async () => {
  await using server = await startServer('nats', { cluster: 3, quiet: true });
  const broker = nats({ servers: server.nodes.map(({ url }) => url), stream: { replicas: 3 } });
  await using bus = await createBus({ broker, logger: false });
  const end = Promise.withResolvers<void>();
  const attempts: number[] = [];
  const handle = ({ attempt }: Message): Promise<void> => {
    attempts.push(attempt);
    return end.promise;
  };
  await bus.subscribe('led', handle, { group: 'g', concurrency: 20 });
  await Promise.all(Array.from({ length: 20 }, (_, n) => bus.publish('led', n)));
  await expect.poll(() => attempts.length, { timeout: 10_000 }).toBe(20);
  const client = bus.native() as NatsConnection;
  const { consumers } = await client.jetstreamManager();
  const { name } = (await consumers.list('ambus').next()).find((one) => one.name.startsWith('g-'))!;
  const unsettled = async (): Promise<number | undefined> =>
    (await consumers.info('ambus', name).catch(() => undefined))?.num_ack_pending;
  await client.request(`$JS.API.CONSUMER.LEADER.STEPDOWN.ambus.${name}`, '', { timeout: 5_000 });
  end.resolve();
  // Far sooner than the server would deliver them again.
  await expect.poll(unsettled, { timeout: 8_000 }).toBe(0);
  expect(attempts).toEqual(attempts.map(() => 1));
}, 60_000);
