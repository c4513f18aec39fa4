import { type Bus, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

describe.each(['2.11', '2.15'] as const)('on %s', (version) => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer('nats', { version, quiet: true });
  });
  afterAll(() => server.close());

  let prefixes = 0;

  const busOf = (maxMessages?: number): Promise<Bus> =>
    createBus({
      broker: nats({ url: server.url }),
      prefix: `p${prefixes++}`,
      topics: { orders: { retention: { maxMessages } } },
      logger: false,
    });

  const depthOf = async (bus: Bus, topic: string): Promise<number | undefined> =>
    (await bus.admin.listTopics()).find((one) => one.topic === topic)?.depth;

  it.each(['purge', 'deleteTopic'] as const)(
    'after %s of one topic a group still gets what lies on the others of its pattern',
    async (method) => {
      await using bus = await busOf();
      await bus.admin.ensureGroup('orders.#', 'g', 'new');
      for (let n = 0; n < 5; n++) {
        await bus.publish('orders', n);
        await bus.publish('orders.eu', n);
        await bus.publish('orders.eu', `keyed ${n}`, { key: 'k' });
      }
      await bus.publish('orders', 'keyed', { key: 'k' });
      expect(Number(await bus.admin[method]('orders'))).toBe(method === 'purge' ? 6 : 1);
      expect((await bus.admin.group('orders.#', 'g'))?.depth).toBe(10);
      const got: unknown[] = [];
      await bus.subscribe('orders.#', ({ data }) => void got.push(data), { group: 'g' });
      const all = [0, 1, 2, 3, 4].flatMap((n) => [n, `keyed ${n}`]);
      await expect.poll(() => got.toSorted(), { timeout: 10_000 }).toEqual(all.toSorted());
    },
  );

  it('a topic is trimmed beside what waits on another topic of the same group', async () => {
    await using bus = await busOf(5);
    await bus.admin.ensureGroup('orders.#', 'g', 'new');
    let tries = 0;
    let handled = 0;
    await bus.subscribe(
      'orders.#',
      ({ topic }) => {
        if (topic === 'orders') handled++;
        else if (tries++ === 0) throw new Error('again');
      },
      { group: 'g', retry: { delays: [3_000] } },
    );
    for (let n = 0; n < 10; n++) await bus.publish('orders', n);
    await bus.publish('orders.eu', 'waits');
    for (let n = 0; n < 10; n++) await bus.publish('orders', n);
    await expect.poll(() => handled, { timeout: 10_000 }).toBe(20);
    await expect.poll(() => depthOf(bus, 'orders'), { timeout: 10_000 }).toBe(10);
    expect(tries).toBe(1);
    await expect.poll(() => tries, { timeout: 10_000 }).toBe(2);
    await bus.publish('orders', 'last');
    await expect.poll(() => depthOf(bus, 'orders'), { timeout: 10_000 }).toBe(5);
  });
});
