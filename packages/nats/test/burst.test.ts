import { createBus } from '@ambus/core';
import { startServer } from '@ambus/testing';
import { expect, it } from 'vitest';
import { nats } from '../src/index.ts';

it.each(['2.11', '2.15'] as const)(
  'takes more at once than the queue of a stream holds, on %s',
  async (version) => {
    await using server = await startServer('nats', { version, quiet: true });
    const topics = { '#': { retention: { maxMessages: 1_000_000 } } };
    const buses = await Promise.all(
      Array.from({ length: 6 }, () => createBus({ broker: nats({ url: server.url }), topics })),
    );
    await Promise.all(buses.map((bus, n) => bus.publish(`t${n}`, -1)));
    await Promise.all(
      buses.map((bus, n) =>
        bus.publishMany(Array.from({ length: 10_000 }, (_, data) => ({ topic: `t${n}`, data }))),
      ),
    );
    const depths = (await buses[0]!.admin.listTopics()).map(({ depth }) => depth);
    expect(depths).toEqual(buses.map(() => 10_001));
    await Promise.all(buses.map((bus) => bus.close()));
  },
  60_000,
);
