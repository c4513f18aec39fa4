import assert from 'node:assert/strict';
import { AbortError, BusError, ConnectionError, TimeoutError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled } from '../helpers/groups.ts';
import { Load } from '../helpers/load.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Milliseconds that healing may take: a few rounds of a backoff that has grown to seconds. */
const HEALING = 60_000;

/** Connections that break. */
export const faultsConnection: readonly Case[] = chapter('faults', [
  {
    id: 'faults/cut-publisher',
    name: 'publishes while the connection is cut wait, and are accepted when it is back: none lost, none twice',
    power: ['cut'],
    timeout: 120_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker({ publishTimeout: HEALING });
      const consumer = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await consumer.subscribe<number>(topic, got.handle, { group: t.name() });
      const events: string[] = [];
      bus.on('disconnected', ({ error }) => events.push(BusError.is(error) ? 'disconnected' : 'untyped'));
      bus.on('reconnected', () => events.push('reconnected'));
      await bus.publish(topic, -1);
      const restore = await t.server.cut!(broker);
      const published = Promise.all(numbers(100).map((n) => bus.publish(topic, n)));
      published.catch(() => {});
      await t.until('it is noticed', () => events.includes('disconnected'), HEALING);
      await restore();
      await published;
      await t.until('all came', () => distinct(got.data).length === 101, HEALING);
      await t.until('it is told', () => events.includes('reconnected'), HEALING);
      assert.deepEqual([...new Set(events)], ['disconnected', 'reconnected']);
      t.note('duplicates', got.data.length - 101);
    },
  },
  {
    id: 'faults/cut-deadline',
    name: 'a publish that the connection does not come back for ends at its deadline, and is not sent later',
    power: ['cut'],
    timeout: 120_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker({ publishTimeout: 400 });
      const consumer = await t.bus();
      const topic = t.topic();
      const got = t.collector();
      await consumer.subscribe(topic, got.handle, { group: t.name() });
      let isBack = false;
      bus.on('reconnected', () => {
        isBack = true;
      });
      await bus.publish(topic, 'before');
      const restore = await t.server.cut!(broker);
      const start = performance.now();
      const error = await rejection(BusError, () => bus.publish(topic, 'too late'));
      const took = performance.now() - start;
      assert.ok(TimeoutError.is(error) || ConnectionError.is(error), `${error.name}: ${error.message}`);
      assert.equal(error.retryable, true);
      assert.ok(took < 5_000, `it took ${took} ms`);
      await restore();
      await t.until('it is back', () => isBack, HEALING);
      await t.after(
        () => bus.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      assert.deepEqual(got.data, ['before', 'marker']);
    },
  },
  {
    id: 'faults/cut-consumer',
    name: 'a consumer that was cut off goes on by itself, in its groups and live, on patterns and as a responder',
    power: ['cut'],
    timeout: 120_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker();
      const publisher = await t.bus();
      const topic = t.topic('a');
      const [grouped, live, wide] = [t.collector<number>(), t.collector<number>(), t.collector<number>()];
      await bus.subscribe<number>(topic, grouped.handle, { group: t.name() });
      await bus.subscribe<number>(topic, live.handle);
      const all = [grouped];
      if (t.capabilities.wildcards !== 'none') {
        await bus.subscribe<number>(t.topic('*'), wide.handle, { group: t.name('wide') });
        all.push(wide);
      }
      const canAsk = t.capabilities.request !== 'none';
      if (canAsk) await bus.respond(topic, ({ data }) => data);
      let isBack = false;
      bus.on('reconnected', () => {
        isBack = true;
      });
      const restore = await t.server.cut!(broker);
      for (const n of numbers(50)) await publisher.publish(topic, n);
      await restore();
      for (const got of all)
        await t.until('what was published meanwhile came', () => distinct(got.data).length === 50, HEALING);
      await t.until('it is back', () => isBack, HEALING);
      await publisher.publish(topic, 50);
      await t.until('the live one goes on', () => live.data.includes(50), HEALING);
      if (canAsk) {
        const ask = (): Promise<unknown> =>
          publisher.request(topic, 'again', { timeout: 1_000 }).then(
            ({ data }) => data,
            () => undefined,
          );
        assert.equal(await t.until('requests are answered again', ask, HEALING), 'again');
      }
      t.note('duplicates', grouped.data.length - distinct(grouped.data).length);
    },
  },
  {
    id: 'faults/cut-in-a-handler',
    name: 'a handler that runs over a cut keeps its message, or loses it with its signal: handled it is in any case',
    power: ['cut'],
    timeout: 120_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker();
      const publisher = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const release = Promise.withResolvers<void>();
      const began: number[] = [];
      const done: number[] = [];
      await bus.subscribe(
        topic,
        async ({ data }) => {
          began.push(data);
          await release.promise;
          done.push(data);
        },
        { group, concurrency: 10 },
      );
      await publisher.publishMany(numbers(10).map((data) => ({ topic, data })));
      await t.until('all run', () => began.length === 10);
      const restore = await t.server.cut!(broker);
      release.resolve();
      await t.until('they end while it is cut', () => done.length >= 10);
      await restore();
      await publisher.publish(topic, 10);
      await t.until('the next one came', () => done.includes(10), HEALING);
      await settled(t, publisher, topic, group);
      assert.deepEqual(distinct(done), numbers(11));
      t.note('duplicates', done.length - 11);
    },
  },
  {
    id: 'faults/cut-requests',
    name: 'a requester that was cut off asks again by itself where its deadline allows, and no request hangs',
    power: ['cut'],
    timeout: 120_000,
    async run(t) {
      if (t.capabilities.request === 'none') return;
      const { bus, broker } = await t.busWithBroker({ publishTimeout: 1_000 });
      const answerer = await t.bus();
      const topic = t.topic();
      await answerer.respond(topic, ({ data }) => data);
      await bus.request(topic, 0, { timeout: 10_000 });
      const restore = await t.server.cut!(broker);
      const waiting = Promise.allSettled(numbers(20).map((n) => bus.request(topic, n, { timeout: 2_000 })));
      await restore();
      for (const [n, outcome] of (await waiting).entries()) {
        if (outcome.status === 'fulfilled') assert.equal(outcome.value.data, n);
        else assert.ok(BusError.is(outcome.reason), String(outcome.reason));
      }
      const ask = (): Promise<unknown> =>
        bus.request(topic, 'again', { timeout: 1_000 }).then(
          ({ data }) => data,
          () => undefined,
        );
      assert.equal(await t.until('requests are answered again', ask, HEALING), 'again');
    },
  },
  {
    id: 'faults/cut-first-request',
    name: 'the first request of a bus ends at its deadline, or with its signal, while the connection is cut',
    needs: ['request'],
    power: ['cut'],
    timeout: 60_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker({ publishTimeout: 1_000 });
      const answerer = await t.bus();
      const topic = t.topic();
      await answerer.respond(topic, ({ data }) => data);
      await bus.connect();
      const restore = await t.server.cut!(broker);
      const start = performance.now();
      const controller = new AbortController();
      const aborted = rejection(AbortError, () =>
        bus.request(topic, 1, { timeout: 60_000, signal: controller.signal }),
      );
      const error = await rejection(BusError, () => bus.request(topic, 1, { timeout: 500 }));
      assert.ok(TimeoutError.is(error) || ConnectionError.is(error), `${error.name}: ${error.message}`);
      controller.abort();
      await aborted;
      assert.ok(performance.now() - start < 10_000, 'it ended at its deadline');
      await restore();
      const ask = (): Promise<unknown> =>
        bus.request(topic, 'again', { timeout: 1_000 }).then(
          ({ data }) => data,
          () => undefined,
        );
      assert.equal(await t.until('requests are answered again', ask, HEALING), 'again');
    },
  },
  {
    id: 'faults/cut-again-and-again',
    name: 'five cuts of publishers and consumers under load lose nothing',
    power: ['cut'],
    timeout: 180_000,
    async run(t) {
      const publisher = await t.busWithBroker({ publishTimeout: 5_000 });
      const consumer = await t.busWithBroker({}, t.shortLease);
      const topic = t.topic();
      const group = t.name();
      const load = new Load(t, topic);
      await load.consume(consumer.bus, { group, concurrency: 10, prefetch: 50 });
      await load.consume(await t.bus({}, t.shortLease), { group, concurrency: 10, prefetch: 50 });
      const publishing = Promise.all(numbers(5).map((n) => load.publish(publisher.bus, n * 200, 200)));
      for (let n = 0; n < 5; n++) {
        await load.reach((n + 1) * 150, HEALING);
        const restore = await t.server.cut!((n % 2 === 0 ? consumer : publisher).broker);
        await t.quiet('it is cut for a moment', () => true, 40);
        await restore();
      }
      await publishing;
      await load.complete(HEALING);
      await settled(t, publisher.bus, topic, group);
    },
  },
  {
    id: 'faults/cut-all',
    name: 'all connections cut at once come back, and nothing is lost',
    power: ['cut'],
    isolated: true,
    timeout: 180_000,
    async run(t) {
      const [publisher, one, two] = [await t.bus({ publishTimeout: 10_000 }), await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      const load = new Load(t, topic);
      for (const bus of [one, two]) await load.consume(bus, { group, concurrency: 5 });
      const publishing = Promise.all(numbers(10).map((n) => load.publish(publisher, n * 100, 100)));
      await load.reach(300, HEALING);
      const restore = await t.server.cut!();
      await t.quiet('it is cut for a moment', () => true, 200);
      await restore();
      await publishing;
      await load.complete(HEALING);
    },
  },
  {
    id: 'faults/cut-and-close',
    name: 'a bus can be closed while its connection is cut, with publishes, acks and handlers under way: nothing hangs',
    power: ['cut'],
    timeout: 60_000,
    async run(t) {
      const { bus, broker } = await t.busWithBroker({ publishTimeout: 1_000 }, t.shortLease);
      const topic = t.topic();
      const group = t.name();
      const release = Promise.withResolvers<void>();
      let running = 0;
      const handle = async (): Promise<void> => {
        running++;
        await release.promise;
      };
      await bus.subscribe(topic, handle, { group });
      await bus.subscribe(topic, () => {});
      await bus.publish(topic, 'in the handler');
      await t.until('the handler runs', () => running === 1);
      const restore = await t.server.cut!(broker);
      // The bus is gone by then, and so may be its connection.
      t.cleanup(() => restore().catch(() => {}));
      const publish = bus.publish(topic, 'never sent').catch((error: unknown) => error);
      const request = bus.request(topic, 1, { timeout: 60_000 }).catch((error: unknown) => error);
      const start = performance.now();
      const closed = bus.close({ timeout: 500 });
      release.resolve();
      await closed;
      const took = performance.now() - start;
      assert.ok(took < 15_000, `it took ${took} ms`);
      assert.ok(BusError.is(await publish), 'the publish was reported as failed');
      assert.ok(BusError.is(await request), 'the request was reported as failed');
    },
  },
]);
