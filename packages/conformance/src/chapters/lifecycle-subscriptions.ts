import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { AbortError, type Message, type Serializer, type Subscription } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { startChild } from '../child/start.ts';
import { countingClock } from '../helpers/counting-clock.ts';
import { groupInfo, settled, standingGroup } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const subscriptions: readonly Case[] = [
  {
    id: 'lifecycle/unsubscribe-one',
    name: 'unsubscribing one of two handlers on a topic leaves the other at work',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const [one, two] = [t.collector(), t.collector()];
      const first = await bus.subscribe(topic, one.handle);
      await bus.subscribe(topic, two.handle);
      await bus.publish(topic, 1);
      await t.until('both have it', () => one.data.length === 1 && two.data.length === 1);
      await first.unsubscribe();
      await first.unsubscribe();
      await bus.publish(topic, 2);
      await t.until('the other has it', () => two.data.length === 2);
      assert.deepEqual(one.data, [1]);
      assert.equal(bus.stats().subscriptions, 1);
    },
  },
  {
    id: 'lifecycle/unsubscribe-in-a-handler',
    name: 'a handler can unsubscribe itself, and its message is settled all the same',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(5).map((data) => ({ topic, data })));
      const seen: number[] = [];
      // The handler may run before the call that subscribed it has returned.
      const made = Promise.withResolvers<Subscription>();
      const handle = async ({ data }: Message<number>): Promise<void> => {
        seen.push(data);
        await (await made.promise).unsubscribe();
      };
      made.resolve(await bus.subscribe<number>(topic, handle, { group }));
      await t.until('it has ended', () => bus.stats().subscriptions === 0);
      assert.equal(seen.length, 1);
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group });
      await t.until('the rest came', () => got.data.length === 4);
      await settled(t, bus, topic, group);
      assert.deepEqual(distinct([...seen, ...got.data]), numbers(5));
      assert.ok(got.messages.every(({ attempt }) => attempt === 1));
    },
  },
  {
    id: 'lifecycle/unsubscribe-by-signal',
    name: 'a signal ends its subscription; one that has fired already is refused',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const controller = new AbortController();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { signal: controller.signal });
      controller.abort();
      await t.until('it has ended', () => bus.stats().subscriptions === 0);
      await bus.publish(topic, 1);
      await assert.rejects(
        () => bus.subscribe(topic, () => {}, { signal: controller.signal }),
        AbortError.is,
      );
      assert.equal(bus.stats().subscriptions, 0);
      assert.deepEqual(got.data, []);
    },
  },
  {
    id: 'lifecycle/pause-and-resume',
    name: 'a paused subscription starts no handler and loses nothing; the others of its group get what it had',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const got = t.collector<number>();
      const subscription = await bus.subscribe<number>(topic, got.handle, { group });
      await bus.publish(topic, 0);
      await t.until('it works', () => got.data.length === 1);
      await subscription.pause();
      await bus.publishMany(numbers(20).map((n) => ({ topic, data: n + 1 })));
      await t.quiet('nothing starts', () => got.data.length === 1, 60);
      assert.equal(subscription.waiting, 0);
      subscription.resume();
      subscription.resume();
      await t.until('all came', () => got.data.length === 21);
      await subscription.pause();
      await subscription.pause();
      await bus.publish(topic, 21);
      const other = await t.bus();
      const others = t.collector<number>();
      await other.subscribe<number>(topic, others.handle, { group });
      await t.until('the other has it', () => others.data.length === 1);
      assert.deepEqual(distinct(got.data), numbers(21));
      assert.deepEqual(others.data, [21]);
      assert.equal(others.messages[0]!.attempt, 1);
    },
  },
  {
    id: 'lifecycle/pause-live',
    name: 'a live subscription that is paused gets what came meanwhile when it goes on',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = t.collector<number>();
      const subscription = await bus.subscribe<number>(topic, got.handle);
      await subscription.pause();
      for (const n of numbers(10)) await bus.publish(topic, n);
      await t.quiet('nothing starts', () => got.data.length === 0, 60);
      subscription.resume();
      await t.until('all came', () => got.data.length === 10);
      assert.deepEqual(got.data, numbers(10));
    },
  },
  {
    id: 'lifecycle/pause-while-reading',
    name: 'what is being read when its subscription is paused is handled when it goes on, and counts no attempt before',
    async run(t) {
      const batch = { batch: 2, maxWait: 10 };
      for (const [place, group, ack] of [
        ['group', t.name('one'), undefined],
        ['group batch', t.name('batch'), batch],
        ['live', undefined, undefined],
        ['live batch', undefined, batch],
      ] as const) {
        const reading = Promise.withResolvers<void>();
        const gate = Promise.withResolvers<void>();
        const serializer: Serializer = {
          contentType: 'application/x-slow',
          serialize: (data) => Buffer.from(JSON.stringify(data)),
          async deserialize(body) {
            reading.resolve();
            await gate.promise;
            return JSON.parse(Buffer.from(body).toString());
          },
        };
        const bus = await t.bus({ serializer });
        const topic = t.topic(place.replace(' ', '.'));
        const seen: Message[] = [];
        const handle = (got: Message | readonly Message[]): void => void seen.push(...[got].flat());
        const subscription = await bus.subscribe(topic, handle as () => void, { group, ack });
        await bus.publish(topic, 1);
        await reading.promise;
        await subscription.pause();
        gate.resolve();
        await t.quiet(`it is not handled (${place})`, () => seen.length === 0, 60);
        subscription.resume();
        await t.until(`it is handled (${place})`, () => seen.length > 0);
        assert.equal(seen[0]!.attempt, 1);
        assert.equal(seen.length, 1);
      }
    },
  },
  {
    id: 'lifecycle/pause-while-busy',
    name: 'pausing and resuming under load loses nothing and handles nothing twice',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const handled: number[] = [];
      const subscription = await bus.subscribe(topic, ({ data }) => handled.push(data), {
        group: t.name(),
        concurrency: 5,
        prefetch: 20,
      });
      const publishing = (async () => {
        for (let n = 0; n < 500; n += 10)
          await bus.publishMany(numbers(10).map((i) => ({ topic, data: n + i })));
      })();
      for (let n = 0; n < 20; n++) {
        await subscription.pause();
        subscription.resume();
      }
      await publishing;
      await t.until('all were handled', () => distinct(handled).length === 500);
      assert.equal(handled.length, 500);
    },
  },
];

/** Timers that come and go by themselves: one that repeats is not there while its work runs. A leak leaves hundreds. */
const REPEATING = 5;
/** Looks at how many there are: in a cluster all of its shards' may be at work in the moment of one. */
const LOOKS = 20;

const leaks: readonly Case[] = [
  {
    id: 'lifecycle/no-leak',
    name: '1,000 subscribe and unsubscribe rounds leave no timer, no listener and nothing on the server',
    timeout: 180_000,
    async run(t) {
      const clock = countingClock();
      const bus = await t.bus({ clock });
      const topic = t.topic();
      const group = t.name();
      const { signal } = new AbortController();
      const round = async (n: number): Promise<void> => {
        const options = n % 2 === 0 ? { group, signal } : { signal };
        const subscription = await bus.subscribe(topic, () => {}, options);
        await subscription.unsubscribe();
      };
      // What is made once, with the first use, is no leak.
      let before = 0;
      for (const n of numbers(LOOKS)) {
        await round(n);
        before = Math.max(before, clock.pending);
      }
      await Promise.all(
        numbers(10).map(async (lane) => {
          for (const n of numbers(100)) await round(lane + n);
        }),
      );
      assert.equal(bus.stats().subscriptions, 0);
      await t.until('its timers are gone', () => clock.pending <= before + REPEATING);
      assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners are left on the signal');
      if (t.capabilities.admin === 'none') return;
      const groups = (await bus.admin.listGroups()).filter(({ pattern }) => pattern === topic);
      assert.deepEqual(
        groups.map((one) => one.group),
        [group],
      );
      assert.equal((await groupInfo(bus, topic, group))!.members, 0);
    },
  },
  {
    id: 'lifecycle/no-leak-of-work',
    name: 'publishes, requests and handled messages leave no timer and no listener behind',
    timeout: 60_000,
    async run(t) {
      const clock = countingClock();
      const bus = await t.bus({ clock });
      const topic = t.topic();
      const { signal } = new AbortController();
      let handled = 0;
      await bus.subscribe(topic, () => void handled++, { group: t.name() });
      const canAsk = t.capabilities.request !== 'none';
      if (canAsk) await bus.respond(topic, () => 1);
      const round = async (count: number): Promise<void> => {
        handled = 0;
        await Promise.all(numbers(count).map((n) => bus.publish(topic, n, { signal })));
        if (canAsk)
          await Promise.all(numbers(count).map((n) => bus.request(topic, n, { signal, timeout: 30_000 })));
        await t.until('all were handled', () => handled === count);
      };
      let before = 0;
      for (const _ of numbers(LOOKS)) {
        await round(5);
        before = Math.max(before, clock.pending);
      }
      await round(1_000);
      await t.until('its timers are gone', () => clock.pending <= before + REPEATING);
      assert.equal(getEventListeners(signal, 'abort').length, 0, 'listeners are left on the signal');
      await t.until('its work is done', () => {
        const { running, waiting, unconfirmed } = bus.stats();
        return running + waiting + unconfirmed === 0;
      });
    },
  },
  {
    id: 'lifecycle/no-timer-after-close',
    name: 'a closed bus has no timer left, whatever it was in the middle of',
    async run(t) {
      const clock = countingClock();
      const bus = await t.bus({ clock, circuitBreaker: { failureThreshold: 1, recoveryTimeout: 600_000 } });
      const topic = t.topic();
      let failed = 0;
      const fail = (): never => {
        failed++;
        throw new Error('fails');
      };
      await bus.subscribe(topic, fail, { retry: { delays: [600_000] } });
      await bus.subscribe(topic, fail, { group: t.name(), retry: { delays: [600_000] } });
      await bus.subscribe(topic, () => {}, { group: t.name('batch'), ack: { batch: 100, maxWait: 600_000 } });
      await bus.publish(topic, 1);
      await t.until('they failed', () => failed === 2);
      if (t.capabilities.request !== 'none') {
        const untilAborted = ({ signal }: Message): Promise<never> =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          });
        await bus.respond(topic, untilAborted);
        bus.request(topic, 1, { timeout: 600_000 }).catch(() => {});
        await t.until('it was asked', () => bus.stats().running === 1);
      }
      await bus.close({ timeout: 10 });
      assert.equal(clock.pending, 0);
    },
  },
  {
    id: 'lifecycle/no-leak-of-handles',
    name: '1,000 subscribe and unsubscribe rounds leave no connection and no handle in the process',
    power: ['processes'],
    timeout: 180_000,
    async run(t) {
      const child = await startChild(t);
      const command = { do: 'churn', topic: t.topic(), group: t.name(), rounds: 1_000 } as const;
      const { before, after } = (await child.call(command)) as { before: number; after: number };
      assert.ok(after <= before + 1, `${before} resources were in use before, ${after} after`);
    },
  },
  {
    id: 'lifecycle/process-exits',
    name: 'a process ends by itself once its bus is closed, whatever it has done with it',
    power: ['processes'],
    timeout: 60_000,
    async run(t) {
      const child = await startChild(t);
      const topic = t.topic();
      await child.call({ do: 'subscribe', topic, options: { group: t.name() }, takes: 0 });
      await child.call({ do: 'subscribe', topic, options: {}, takes: 0 });
      if (t.capabilities.request !== 'none') {
        await child.call({ do: 'respond', topic });
        await child.call({ do: 'request', topic, data: 1 });
      }
      await child.call({ do: 'publish', topic, from: 0, count: 10 });
      await t.until('all were handled', () => child.handled.length === 20);
      await child.call({ do: 'close' });
      const start = performance.now();
      const code = await Promise.race([
        child.exited,
        new Promise((resolve) => setTimeout(resolve, 20_000, 'late')),
      ]);
      assert.equal(code, 0);
      assert.ok(performance.now() - start < 5_000, 'it ended at once');
    },
  },
];

/** Subscriptions in the life of a bus. */
export const lifecycleSubscriptions: readonly Case[] = chapter('lifecycle', [...subscriptions, ...leaks]);
