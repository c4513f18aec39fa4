import assert from 'node:assert/strict';
import {
  AbortError,
  type BrokerSubscription,
  ClosedError,
  LeaseLostError,
  type Message,
  type Middleware,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';
import { untilAborted } from '../helpers/until-aborted.ts';
import { wrapBroker } from '../helpers/wrapped-broker.ts';

const MANY = 10_000;

/** The methods of a subscription, to be put together anew. */
function bound(own: BrokerSubscription): BrokerSubscription {
  return {
    ack: (deliveries) => own.ack(deliveries),
    nack: (delivery, delay) => own.nack(delivery, delay),
    release: (deliveries) => own.release(deliveries),
    pause: () => own.pause(),
    resume: () => own.resume(),
    close: () => own.close(),
  };
}

const closing: readonly Case[] = [
  {
    id: 'lifecycle/close-waits',
    name: 'close waits for running handlers, which can publish and request meanwhile, and their acks count',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const [topic, next, question] = [t.topic(), t.topic('next'), t.topic('question')];
      const group = t.name();
      const canAsk = t.capabilities.request !== 'none';
      const got = t.collector();
      await other.subscribe(next, got.handle, { group });
      if (canAsk) await other.respond(question, () => 42);
      const released = Promise.withResolvers<void>();
      let [running, answer] = [0, undefined as unknown];
      await bus.subscribe(
        topic,
        async (message) => {
          running++;
          await released.promise;
          // The first request of this bus: its inbox is opened while it drains.
          answer = canAsk ? (await bus.request(question, 1, { timeout: 10_000 })).data : 42;
          await bus.publish(next, 'by the bus');
          await message.publish(next, 'by the message');
          assert.equal(message.signal.aborted, false);
        },
        { group, concurrency: 5 },
      );
      await bus.publishMany(numbers(5).map((data) => ({ topic, data })));
      await t.until('all run', () => running === 5);
      let isClosed = false;
      const closed = bus.close({ timeout: 15_000 }).then(() => {
        isClosed = true;
      });
      await t.quiet('close waits', () => !isClosed, 60);
      released.resolve();
      await closed;
      await t.until('what they published came', () => got.data.length === 10);
      assert.equal(answer, 42);
      assert.equal(bus.stats().handled, 5);
      assert.equal(bus.stats().failed, 0);
      const again = t.collector();
      await other.subscribe(topic, again.handle, { group });
      await t.after(
        () => other.publish(topic, 'marker'),
        () => again.data.includes('marker'),
      );
      await settled(t, other, topic, group);
      assert.deepEqual(again.data, ['marker']);
    },
  },
  {
    id: 'lifecycle/close-deadline',
    name: 'close ends at its deadline: signals fire, late settlements are refused, the message comes again elsewhere',
    async run(t) {
      const [bus, other] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      const held: Message[] = [];
      const release = Promise.withResolvers<void>();
      t.cleanup(() => release.resolve());
      let aborted: unknown;
      await bus.subscribe(
        topic,
        async (message) => {
          message.signal.addEventListener('abort', () => {
            aborted = message.signal.reason;
          });
          held.push(message);
          await release.promise;
        },
        { group },
      );
      await bus.publish(topic, 1);
      await t.until('the handler runs', () => held.length === 1);
      const start = performance.now();
      await bus.close({ timeout: 100 });
      const took = performance.now() - start;
      assert.ok(took >= 90 && took < 5_000, `it took ${took} ms`);
      assert.ok(ClosedError.is(aborted));
      await rejection(LeaseLostError, () => held[0]!.ack());
      const got = t.collector();
      await other.subscribe(topic, got.handle, { group });
      await t.until('it came again', () => got.messages.length === 1);
      assert.equal(got.messages[0]!.attempt, 2);
    },
  },
  {
    id: 'lifecycle/close-hurries',
    name: 'a close with less time hurries subscriptions that are leaving with more',
    async run(t) {
      const bus = await t.bus({ closeTimeout: 60_000 });
      const topic = t.topic();
      const stop = new AbortController();
      let [begun, aborted] = [0, 0];
      const handler = async ({ signal }: Message): Promise<void> => {
        begun++;
        await untilAborted(signal).catch(() => {});
        aborted++;
      };
      const left = await bus.subscribe(topic, handler, { group: t.name() });
      await bus.subscribe(topic, handler, { group: t.name('other'), signal: stop.signal });
      await bus.publish(topic, 1);
      await t.until('both run', () => begun === 2);
      stop.abort();
      await left.unsubscribe();
      assert.equal(aborted, 0);
      const start = performance.now();
      await bus.close({ timeout: 100 });
      const took = performance.now() - start;
      assert.ok(took >= 90 && took < 20_000, `it took ${took} ms`);
      assert.equal(aborted, 2);
    },
  },
  {
    id: 'lifecycle/close-aborts',
    name: 'a handler that ends because its signal fired at the close loses nothing and spends no dead letter',
    async run(t) {
      const dead = t.topic('dead');
      const [bus, other] = [await t.bus({ deadLetter: { topic: dead } }), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      const letters = t.collector();
      await other.subscribe(dead, letters.handle);
      let running = 0;
      await bus.subscribe(
        topic,
        ({ signal }) => {
          running++;
          return untilAborted(signal);
        },
        { group, retry: { maxRetries: 3, delays: [60_000] }, concurrency: 3 },
      );
      await bus.publishMany(numbers(3).map((data) => ({ topic, data })));
      await t.until('all run', () => running === 3);
      await bus.close({ timeout: 20 });
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group });
      // At once: the failure says nothing about the message, so no retry delay applies.
      await t.until('all came again', () => got.data.length === 3);
      assert.deepEqual(distinct(got.data), numbers(3));
      assert.deepEqual(letters.data, []);
    },
  },
  {
    id: 'lifecycle/close-gives-back',
    name: 'prefetched messages that no handler saw go back at the close: at once, uncounted and not dead-lettered',
    async run(t) {
      const dead = t.topic('dead');
      const options = { deadLetter: { topic: dead }, retry: false } as const;
      const [bus, other] = [await t.bus(options), await t.bus(options)];
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(30).map((data) => ({ topic, data })));
      const letters = t.collector();
      await other.subscribe(dead, letters.handle);
      const release = Promise.withResolvers<void>();
      let seen = 0;
      const handle = (): Promise<void> => {
        seen++;
        return release.promise;
      };
      await bus.subscribe(topic, handle, { group, prefetch: 20 });
      await t.until('one is handled and the others wait', () => seen === 1 && bus.stats().waiting > 0);
      const closed = bus.close();
      const got = t.collector<number>();
      // They are there for others while the handler still runs.
      await other.subscribe<number>(topic, got.handle, { group });
      await t.until('the other has the rest', () => got.data.length === 29);
      release.resolve();
      await closed;
      assert.equal(seen, 1);
      assert.deepEqual(
        got.messages.filter(({ attempt }) => attempt !== 1).map(({ data }) => data),
        [],
      );
      await settled(t, other, topic, group);
      assert.deepEqual(letters.data, []);
      assert.equal(got.data.length, 29);
    },
  },
  {
    id: 'lifecycle/close-flushes',
    name: 'close sends what was published before it: 10,000 publishes that nobody waited for arrive',
    timeout: 60_000,
    async run(t) {
      const [bus, other] = [await t.bus({ closeTimeout: 30_000 }), await t.bus()];
      const topic = t.topic();
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group: t.name(), prefetch: 1_000 });
      const all = Promise.allSettled(numbers(MANY).map((n) => bus.publish(topic, n)));
      await bus.close();
      const failed = (await all).filter(({ status }) => status === 'rejected');
      assert.equal(failed.length, 0);
      await t.until('all came', () => got.data.length >= MANY, 50_000);
      assert.equal(distinct(got.data).length, MANY);
    },
  },
  {
    id: 'lifecycle/close-flushes-what-is-being-made',
    name: 'close also sends what waits for the connection, for a middleware or for its compression',
    async run(t) {
      const other = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      await other.subscribe<number>(topic, got.handle, { group: t.name(), prefetch: 1_000 });
      const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 30));
      const slowToConnect = wrapBroker(await t.create(), (own) => ({
        connect: (host) => later().then(() => own.connect(host)),
      }));
      const slow: Middleware = { publish: (_, next) => later().then(next) };
      const buses = [
        await t.bus({ broker: slowToConnect }),
        await t.bus({ middleware: [slow] }),
        await t.bus({ compress: { algorithm: 'gzip', threshold: 0 } }),
      ];
      const results = await Promise.all(
        buses.map(async (bus, place) => {
          // Only the first is to wait for its connection.
          if (place > 0) await bus.connect();
          const publishes = numbers(100).map((n) => bus.publish(topic, place * 100 + n));
          const all = Promise.allSettled(publishes);
          await bus.close();
          return all;
        }),
      );
      for (const result of results.flat())
        assert.equal(result.status, 'fulfilled', String(Object.values(result)[1]));
      await t.until('all came', () => got.data.length >= 300);
      assert.deepEqual(distinct(got.data), numbers(300));
    },
  },
  {
    id: 'lifecycle/close-flushes-acks',
    name: 'the acks of messages handled right before the close count',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const publisher = await t.bus();
      await standingGroup(publisher, topic, group);
      await publisher.publishMany(numbers(200).map((data) => ({ topic, data })));
      const handled: number[] = [];
      while (distinct(handled).length < 200) {
        const bus = await t.bus();
        const before = handled.length;
        await bus.subscribe(topic, ({ data }) => handled.push(data), { group, prefetch: 50 });
        await t.until('some were handled', () => handled.length > before);
        await bus.close();
      }
      assert.equal(handled.length, 200, `${handled.length - 200} came twice`);
      await settled(t, publisher, topic, group);
    },
  },
  {
    id: 'lifecycle/close-keeps-responders',
    name: 'a handler that runs to its end can still ask a responder of its own bus',
    needs: ['request'],
    async run(t) {
      const bus = await t.bus();
      const [topic, question] = [t.topic(), t.topic('question')];
      const released = Promise.withResolvers<void>();
      let [answer, running] = [undefined as unknown, false];
      await bus.respond(question, () => 'here');
      await bus.subscribe(
        topic,
        async () => {
          running = true;
          await released.promise;
          answer = (await bus.request(question, 1, { timeout: 10_000 })).data;
        },
        { group: t.name() },
      );
      await bus.publish(topic, 1);
      await t.until('it runs', () => running);
      const closed = bus.close({ timeout: 15_000 });
      released.resolve();
      await closed;
      assert.equal(answer, 'here');
    },
  },
  {
    id: 'lifecycle/abort-while-subscribing',
    name: 'a signal that fires while a subscription is being opened ends it',
    async run(t) {
      const controller = new AbortController();
      const aborting = wrapBroker(await t.create(), (own) => ({
        subscribe: async (source, sink) => {
          const subscription = await own.subscribe(source, sink);
          controller.abort();
          return subscription;
        },
      }));
      const [bus, other] = [await t.bus({ broker: aborting }), await t.bus()];
      const topic = t.topic();
      const got = t.collector();
      const subscribing = bus.subscribe(topic, got.handle, { signal: controller.signal });
      await assert.rejects(subscribing, AbortError.is);
      await t.until('nothing of it is left', () => bus.stats().subscriptions === 0);
      await other.publish(topic, 'nobody hears it');
      await t.quiet('nothing comes', () => got.data.length === 0);
    },
  },
  {
    id: 'lifecycle/close-with-a-server-that-hangs',
    name: 'close comes to its end although the broker answers nothing any more',
    timeout: 30_000,
    async run(t) {
      const never = new Promise<never>(() => {});
      const hanging = wrapBroker(await t.create(), (own) => ({
        subscribe: async (source, sink) => {
          const subscription = await own.subscribe(source, sink);
          t.cleanup(() => subscription.close());
          return { ...bound(subscription), pause: () => never, close: () => never };
        },
      }));
      const bus = await t.bus({ broker: hanging });
      await bus.subscribe(t.topic(), () => {}, { group: t.name() });
      const start = performance.now();
      await bus.close({ timeout: 100 });
      assert.ok(performance.now() - start < 25_000);
    },
  },
];

/** The end of a bus. */
export const lifecycle: readonly Case[] = chapter('lifecycle', closing);
