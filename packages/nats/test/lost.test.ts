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

it.each(['again', '*'])(
  'a stream that was lost unseen is made anew by the next subscription to %o',
  async (pattern) => {
    const prefix = `unseen${pattern.length}`;
    const warnings: string[] = [];
    const ignore = (): void => {};
    const warn = (_: object, message: string): void => void warnings.push(message);
    const logger = { debug: ignore, info: ignore, error: ignore, warn };
    await using bus = await createBus({ broker: nats({ url: server.url }), prefix, logger });
    const got: unknown[] = [];
    const subscribe = () => bus.subscribe(pattern, ({ data }) => void got.push(data), { group: 'g' });
    await (await subscribe()).unsubscribe();
    const { streams } = await (bus.native() as NatsConnection).jetstreamManager();
    await streams.delete(prefix);
    const second = await subscribe();
    await bus.publish('again', 1);
    await expect.poll(() => got, { timeout: 10_000 }).toEqual([1]);
    await second.unsubscribe();
    await streams.delete(prefix);
    await bus.admin.ensureGroup(pattern, 'g', 'new');
    expect((await bus.admin.group(pattern, 'g'))?.depth).toBe(0);
    await streams.delete(prefix);
    await (await bus.subscribe(pattern, ignore)).unsubscribe();
    expect(warnings.filter((text) => text.includes('lost'))).toHaveLength(3);
  },
);
