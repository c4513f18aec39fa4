import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { settled } from '../helpers/groups.ts';
import { Load } from '../helpers/load.ts';
import { numbers } from '../helpers/sequence.ts';
import { answered, HEALING, underLoad } from '../helpers/under-load.ts';

/** For so many milliseconds nothing passes between the buses and their server, in the middle of 1,000 messages. */
async function withoutNetwork(
  t: CaseContext,
  begin: () => Promise<() => Promise<void>>,
  time: number,
): Promise<void> {
  const [publisher, one, two] = [
    await t.bus({ publishTimeout: 10_000 }),
    await t.bus({}, t.shortLease),
    await t.bus({}, t.shortLease),
  ];
  const topic = t.topic();
  const group = t.name();
  const load = new Load(t, topic);
  for (const bus of [one, two]) await load.consume(bus, { group, concurrency: 10 });
  const publishing = Promise.all(numbers(5).map((n) => load.publish(publisher, n * 200, 200)));
  await load.reach(300, HEALING);
  const lost: unknown[] = [];
  publisher.on('disconnected', (event) => lost.push(event));
  const end = await begin();
  await Promise.all([
    t.until('it is noticed', () => lost.length > 0, time),
    t.quiet('nothing passes', () => true, time),
  ]);
  await end();
  await publishing;
  await load.complete(2 * HEALING);
  await settled(t, publisher, topic, group);
}

const stalled: readonly Case[] = [
  {
    id: 'faults/pause',
    name: 'a server that stands still for five seconds loses nothing, and its consumers go on',
    power: ['pause'],
    isolated: true,
    timeout: 600_000,
    run: (t) =>
      underLoad(t, async () => {
        const resume = await t.server.pause!();
        await t.quiet('it stands still', () => true, 5_000);
        await resume();
      }),
  },
  {
    id: 'faults/pause-is-noticed',
    name: 'a publish, a request and a close do not hang while the server stands still',
    power: ['pause'],
    isolated: true,
    timeout: 180_000,
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      // A server that has only just started may take longer for its first topic than the deadlines below.
      const first = await t.bus();
      await first.subscribe(topic, () => {}, { group });
      await first.publish(topic, 0);
      await first.close();
      const bus = await t.bus({ publishTimeout: 2_000, requestTimeout: 2_000 });
      await bus.subscribe(topic, () => {}, { group });
      await bus.publish(topic, 1);
      const resume = await t.server.pause!();
      t.cleanup(resume);
      const start = performance.now();
      const outcomes = await Promise.allSettled([
        bus.publish(topic, 2),
        ...(t.capabilities.request === 'none' ? [] : [bus.request(topic, 1)]),
      ]);
      assert.ok(outcomes.every(({ status }) => status === 'rejected'));
      assert.ok(performance.now() - start < 10_000, 'they ended at their deadlines');
      await bus.close({ timeout: 1_000 });
      assert.ok(performance.now() - start < 60_000, 'close ended');
    },
  },
  {
    id: 'faults/blackhole',
    name: 'a network that swallows everything for 30 seconds loses nothing: connections that look alive are given up',
    power: ['blackhole'],
    isolated: true,
    timeout: 600_000,
    run: (t) => withoutNetwork(t, () => t.server.blackhole!(), 30_000),
  },
  {
    id: 'faults/half-open',
    name: 'connections whose other side is closed, and nobody tells, lose nothing and are given up',
    power: ['halfOpen'],
    isolated: true,
    timeout: 600_000,
    run: (t) => withoutNetwork(t, () => t.server.halfOpen!(), 15_000),
  },
  {
    id: 'faults/slow',
    name: 'with 200 ms of delay on the line throughput comes from batches and windows, and requests are answered',
    power: ['slow'],
    isolated: true,
    timeout: 300_000,
    async run(t) {
      const [bus, publisher] = [await t.bus(), await t.bus({ publishTimeout: HEALING })];
      const topic = t.topic();
      const load = new Load(t, topic);
      await load.consume(bus, { group: t.name(), concurrency: 100, prefetch: 1_000 });
      if (t.capabilities.request !== 'none') await bus.respond(topic, () => 1);
      await publisher.publish(topic, -1);
      const restore = await t.server.slow!(200);
      const start = performance.now();
      await Promise.all(numbers(1_000).map((n) => publisher.publish(topic, n)));
      for (const n of numbers(1_000)) load.confirmed.add(n);
      await load.complete(HEALING);
      const took = performance.now() - start;
      t.note('milliseconds for 1,000', Math.round(took));
      // One after the other they would take 400 seconds.
      assert.ok(took < 30_000, `it took ${took} ms`);
      await answered(t, topic);
      await restore();
    },
  },
];

const nodes: readonly Case[] = [
  {
    id: 'faults/cluster',
    name: 'with one of three nodes down everything goes on: 10,000 messages, none lost',
    power: ['cluster'],
    isolated: true,
    timeout: 600_000,
    async run(t) {
      const { create, stopOne } = t.server.cluster!;
      const starts: (() => Promise<void>)[] = [];
      t.cleanup(() => Promise.all(starts.map((start) => start())));
      await underLoad(
        t,
        async () => {
          // Down at a third, back at a half.
          const start = starts.pop();
          if (start === undefined) starts.push(await stopOne());
          else await start();
        },
        async () => create(),
      );
    },
  },
  {
    id: 'faults/credentials-rotated',
    name: 'credentials that change while the bus runs are taken up without losing anything',
    power: ['credentials'],
    isolated: true,
    timeout: 300_000,
    async run(t) {
      const { rotate } = t.server.credentials!;
      if (rotate === undefined) return;
      const [bus, publisher] = [await t.bus(), await t.bus({ publishTimeout: HEALING })];
      const topic = t.topic();
      const load = new Load(t, topic);
      await load.consume(bus, { group: t.name() });
      const publishing = Promise.all(numbers(5).map((n) => load.publish(publisher, n * 100, 100)));
      await load.reach(100, HEALING);
      await rotate();
      await publishing;
      await load.complete(HEALING);
    },
  },
];

/** A server, or the network before it, that stands still, is slow or loses a part. */
export const faultsServer: readonly Case[] = chapter('faults', [...stalled, ...nodes]);
