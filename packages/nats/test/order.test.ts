import { createBus } from '@ambus/core';
import { startServer } from '@ambus/testing';
import type { NatsConnection } from 'nats';
import { expect, it } from 'vitest';
import { nats } from '../src/index.ts';

const wait = (time: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, time));

it.each([
  ['and nothing is published until there is another', []],
  ['and what comes next meets nobody', ['refused']],
])(
  'keeps the order of a key where a leader dies with what it was sent, %s',
  async (_, refused) => {
    await using server = await startServer('nats', { cluster: 3, quiet: true });
    const options = { stream: { replicas: 3 } } as const;
    await using first = await createBus({ broker: nats({ url: server.nodes[0]!.url, ...options }) });
    await first.publish('led', 'made', { key: 'k' });
    const leaderOf = async (client: NatsConnection): Promise<string | undefined> =>
      (await (await client.jetstreamManager()).streams.info('ambus')).cluster?.leader;
    const before = await leaderOf(first.native() as NatsConnection);
    const leader = server.nodes.find(({ name }) => name === before)!;
    const other = server.nodes.find(({ name }) => name !== before)!;
    await using bus = await createBus({
      broker: nats({ url: other.url, ...options }),
      publishTimeout: 40_000,
      logger: false,
    });
    await bus.publish('led', 'before', { key: 'k' });

    await leader.pause();
    // Others elect a leader four to nine seconds after this one's last sign; what it does not answer is sent again after six.
    await wait(3_000);
    const published = [bus.publish('led', 'lost', { key: 'k' })];
    await wait(200);
    await leader.kill9();
    await wait(200);
    for (const data of refused) published.push(bus.publish('led', data, { key: 'k' }));
    const client = bus.native() as NatsConnection;
    const elected = async (): Promise<boolean> =>
      leaderOf(client).then(
        (name) => name !== undefined && name !== before,
        () => false,
      );
    await expect.poll(elected, { timeout: 30_000 }).toBe(true);
    published.push(bus.publish('led', 'after', { key: 'k' }));
    await Promise.all(published);

    const got = new Set<unknown>();
    await bus.subscribe('led', ({ data }) => void got.add(data), { from: 'earliest' });
    await expect.poll(() => got.size, { timeout: 20_000 }).toBe(4 + refused.length);
    expect([...got]).toEqual(['made', 'before', 'lost', ...refused, 'after']);
  },
  90_000,
);
