import { type Bus, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import type { NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

const depthOf = async (bus: Bus, topic: string): Promise<number | undefined> =>
  (await bus.admin.listTopics()).find((one) => one.topic === topic)?.depth;

it('removes what is beyond the retention, but nothing that a group has not settled', async () => {
  const topic = 'counted';
  await using bus = await createBus({
    broker: nats({ url: server.url }),
    topics: { [topic]: { retention: { maxMessages: 5 } } },
  });
  await bus.admin.ensureGroup(topic, 'slow', 'new');
  for (let n = 0; n < 20; n++) await bus.publish(topic, n, n % 2 === 0 ? {} : { key: 'k' });
  const early: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void early.push(data), { from: 'earliest' });
  await expect.poll(() => early.length).toBe(20);

  const handled = new Set<unknown>();
  await bus.subscribe(topic, ({ data }) => void handled.add(data), { group: 'slow' });
  await expect.poll(() => handled.size, { timeout: 10_000 }).toBe(20);
  await expect.poll(async () => (await bus.admin.group(topic, 'slow'))?.depth, { timeout: 10_000 }).toBe(0);
  await bus.publish(topic, 20);
  await expect.poll(() => depthOf(bus, topic), { timeout: 10_000 }).toBe(5);
});

it('removes what is older than the retention', async () => {
  const topic = 'aged';
  await using bus = await createBus({
    broker: nats({ url: server.url }),
    topics: { [topic]: { retention: { maxAge: 500 } } },
  });
  for (let n = 0; n < 5; n++) await bus.publish(topic, n);
  await new Promise((resolve) => setTimeout(resolve, 700));
  await bus.publish(topic, 'young');
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { from: 'earliest' });
  await expect.poll(() => got).toEqual(['young']);
});

it('removes what is older although nothing more is published', async () => {
  await using bus = await createBus({
    broker: nats({ url: server.url }),
    topics: { idle: { retention: { maxAge: 1_500 } } },
  });
  for (let n = 0; n < 5; n++) await bus.publish('idle', n);
  await expect.poll(() => depthOf(bus, 'idle'), { timeout: 10_000 }).toBe(0);
});

it('is kept to where all that publish end soon', async () => {
  const topics = { brief: { retention: { maxMessages: 100 } } };
  for (let run = 0; run < 60; run++) {
    await using bus = await createBus({ broker: nats({ url: server.url }), topics });
    for (let n = 0; n < 5; n++) await bus.publish('brief', n);
  }
  await using bus = await createBus({ broker: nats({ url: server.url }) });
  expect(await depthOf(bus, 'brief')).toBeLessThan(200);
});

/** What is consumed is looked at within a minute, at a random time. */
async function consumedAtOnce(run: () => Promise<void>): Promise<void> {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0);
  try {
    await run();
  } finally {
    random.mockRestore();
  }
}

it('is kept to by those that consume, where those that publish may not', async () => {
  const topic = 'restricted';
  const broker = () => nats({ url: server.url });
  const topics = { [topic]: { retention: { maxMessages: 5 } } };
  await using maker = await createBus({ broker: broker(), topics });
  await maker.admin.ensureTopic(topic);
  await using publisher = await createBus({ broker: broker(), provision: 'none' });
  for (let n = 0; n < 10; n++) await publisher.publish(topic, n);
  await consumedAtOnce(async () => {
    // What it says itself does not count: those that publish may keep more.
    const strict = { '#': { retention: { maxMessages: 1 } } };
    await using consumer = await createBus({ broker: broker(), topics: strict });
    const got: unknown[] = [];
    await consumer.subscribe('restricted.#', ({ data }) => void got.push(data));
    await publisher.publish(topic, 'last');
    await expect.poll(() => got).toEqual(['last']);
    await expect.poll(() => depthOf(publisher, topic), { timeout: 10_000 }).toBe(5);
  });
});

it('is not kept to by those that consume where a publisher wants more kept, or nobody says anything', async () => {
  const broker = () => nats({ url: server.url });
  const rule = (maxMessages: number) => ({ widened: { retention: { maxMessages } } });
  await using maker = await createBus({ broker: broker(), topics: rule(1) });
  await maker.admin.ensureTopic('widened');
  await maker.admin.ensureTopic('unsaid');
  for (const most of [20, 3]) {
    await using publisher = await createBus({ broker: broker(), topics: rule(most) });
    if (most === 20) for (let n = 0; n < 10; n++) await publisher.publish('widened', n);
    else await publisher.admin.ensureTopic('widened');
  }
  await using publisher = await createBus({ broker: broker(), provision: 'none' });
  for (let n = 0; n < 10; n++) await publisher.publish('unsaid', n);
  await consumedAtOnce(async () => {
    await using consumer = await createBus({ broker: broker() });
    expect((await consumer.admin.listTopics()).find(({ topic }) => topic === 'widened')?.retention).toEqual({
      maxMessages: 20,
    });
    await consumer.subscribe('*', () => {});
    // The last of these is trimmed, and looked at after the others.
    for (const topic of ['widened', 'unsaid']) await publisher.publish(topic, 10);
    await using other = await createBus({
      broker: broker(),
      topics: { trimmed: { retention: { maxMessages: 1 } } },
    });
    await other.admin.ensureTopic('trimmed');
    for (let n = 0; n < 3; n++) await publisher.publish('trimmed', n);
    await expect.poll(() => depthOf(consumer, 'trimmed'), { timeout: 10_000 }).toBe(1);
    expect(await depthOf(consumer, 'widened')).toBe(11);
    expect(await depthOf(consumer, 'unsaid')).toBe(11);
  });
});

it('keeps all where one publisher bounds only the age and another only the count', async () => {
  const topic = 'mixed';
  const told = async (retention: { maxAge?: number; maxMessages?: number }): Promise<unknown> => {
    const topics = { [topic]: { retention } };
    await using publisher = await createBus({ broker: nats({ url: server.url }), topics });
    await publisher.publish(topic, 1);
    await using other = await createBus({ broker: nats({ url: server.url }) });
    return (await other.admin.listTopics()).find((one) => one.topic === topic)?.retention;
  };
  expect(await told({ maxAge: 60_000 })).toEqual({ maxAge: 60_000 });
  expect(await told({ maxMessages: 20_000 })).toEqual({});
  expect(await told({ maxAge: 60_000 })).toEqual({});
});

it('a record of a subject that is no topic harms nobody who gets it', async () => {
  const broker = () => nats({ url: server.url });
  const prefix = 'foreign';
  await using maker = await createBus({
    broker: broker(),
    prefix,
    topics: { a: { retention: { maxMessages: 1 } } },
  });
  await maker.admin.ensureTopic('a');
  await consumedAtOnce(async () => {
    await using bus = await createBus({ broker: broker(), prefix });
    const got: unknown[] = [];
    await bus.subscribe('#', ({ data }) => void got.push(data));
    await (bus.native() as NatsConnection).jetstream().publish('foreign.t.n.a:b', 'not ours');
    await using publisher = await createBus({ broker: broker(), prefix, provision: 'none' });
    for (let n = 0; n < 3; n++) await publisher.publish('a', n);
    await expect.poll(() => new Set(got)).toEqual(new Set([undefined, 0, 1, 2]));
    // It has been looked at before.
    await expect.poll(() => depthOf(bus, 'a'), { timeout: 10_000 }).toBe(1);
  });
});

it('keeps for a bus that says nothing of the topic what the one wants kept that made it', async () => {
  const topic = 'kept';
  const topics = { [topic]: { retention: { maxMessages: 11_000 } } };
  await using maker = await createBus({ broker: nats({ url: server.url }), topics });
  await maker.publishMany(Array.from({ length: 10_500 }, (_, data) => ({ topic, data })));
  await using other = await createBus({ broker: nats({ url: server.url }) });
  const look = async () => {
    await other.deadLetters.list({ topic, limit: 1 });
    const subscription = await other.subscribe(topic, () => {}, { from: 'earliest' });
    await subscription.unsubscribe();
  };
  await look();
  expect(await depthOf(other, topic)).toBe(10_500);
  await other.publish(topic, 'one more');
  await look();
  expect(await depthOf(other, topic)).toBe(10_501);
}, 30_000);

it('is not held up by what is left of a group that was deleted while it was made', async () => {
  await using bus = await createBus({
    broker: nats({ url: server.url }),
    prefix: 'orphans',
    topics: { a: { retention: { maxMessages: 5 } } },
  });
  await bus.admin.ensureGroup('a', 'g', 'new');
  const { consumers } = await (bus.native() as NatsConnection).jetstreamManager();
  const names = async () => (await consumers.list('orphans').next()).map(({ name }) => name);
  const [base = ''] = (await names()).toSorted((a, b) => a.length - b.length);
  await consumers.delete('orphans', base);
  for (let n = 0; n < 20; n++) await bus.publish('a', n, { key: 'k' });
  await expect.poll(() => depthOf(bus, 'a'), { timeout: 10_000 }).toBe(5);
  expect(await names()).toEqual([]);
});

it.each([{ maxMessages: 2 }, { maxAge: 60_000 }])(
  'trims each topic although another one is published to all the time: %o',
  async (retention) => {
    const name = Object.keys(retention)[0]!.toLowerCase();
    await using bus = await createBus({
      broker: nats({ url: server.url }),
      topics: { [`${name}.noisy`]: { retention }, [`${name}.other`]: { retention: { maxMessages: 5 } } },
    });
    const publish = async (): Promise<number | undefined> => {
      await bus.publish(`${name}.noisy`, 0);
      return depthOf(bus, `${name}.other`);
    };
    await publish();
    for (let n = 0; n < 20; n++) await bus.publish(`${name}.other`, n);
    await expect.poll(publish, { timeout: 10_000, interval: 100 }).toBe(5);
  },
);

it('does not hold back what was given back before a trim', async () => {
  const topic = 'again';
  const join = (): Promise<Bus> =>
    createBus({
      broker: nats({ url: server.url }),
      topics: { [topic]: { retention: { maxMessages: 100 } } },
      logger: false,
    });
  await using publisher = await join();
  await publisher.admin.ensureGroup(topic, 'g', 'new');
  const publish = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) await publisher.publish(topic, n, { key: 'k' });
  };
  await publish(0, 60);
  {
    await using leaver = await join();
    const settled = Promise.withResolvers<void>();
    const handle = ({ data }: { readonly data: unknown }): Promise<void> => {
      if (data === 30) settled.resolve();
      return data === 30 ? new Promise(() => {}) : Promise.resolve();
    };
    await leaver.subscribe(topic, handle, { group: 'g', prefetch: 20 });
    await settled.promise;
    await leaver.close({ timeout: 10 });
  }
  await publish(60, 140);
  await expect.poll(() => depthOf(publisher, topic), { timeout: 10_000 }).toBe(110);
  await using bus = await join();
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { group: 'g' });
  await expect.poll(() => got.length, { timeout: 5_000 }).toBe(110);
  expect(got).toEqual(Array.from({ length: 110 }, (_, n) => n + 30));
});
