import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

it.each([{}, { maxAge: 3_600_000 }])(
  'goes on when a stream is lost while it is made anew: %o',
  async (stream) => {
    const prefix = `lost${Object.keys(stream).length}`;
    await using bus = await createBus({ broker: nats({ url: server.url, stream }), prefix, logger: false });
    const [all, one, live] = [new Set<unknown>(), new Set<unknown>(), new Set<unknown>()];
    const failed: string[] = [];
    bus.on('subscription.failed', ({ error }) => failed.push(error.message));
    await bus.subscribe('twice.*', ({ data }) => void all.add(data), { group: 'all' });
    await bus.subscribe('twice.x', ({ data }) => void one.add(data), { group: 'one' });
    await bus.subscribe('twice.*', ({ data }) => void live.add(data));
    await bus.publish('twice.x', 'before', { key: 'k' });
    const { streams } = await (bus.native() as NatsConnection).jetstreamManager();
    for (const end = Date.now() + 1_000; Date.now() < end; ) {
      for (const name of [prefix, `${prefix}-own`]) await streams.delete(name).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
    const after = async (): Promise<boolean[]> => {
      await bus.publish('twice.x', 'after', { key: 'k' });
      return [all, one, live].map((seen) => seen.has('after'));
    };
    await expect.poll(after, { timeout: 15_000, interval: 300 }).toEqual([true, true, true]);
    expect(failed).toEqual([]);
  },
);
