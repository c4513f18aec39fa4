import assert from 'node:assert/strict';
import type { BusEvents } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { Load } from '../helpers/load.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Milliseconds that healing may take: a few rounds of a backoff that has grown to seconds. */
const HEALING = 60_000;

const wiped: readonly Case[] = [
  {
    id: 'faults/wipe',
    name: 'a server that lost its state is set up again with one warning, and all kinds of consumption go on',
    power: ['wipe'],
    isolated: true,
    timeout: 120_000,
    async run(t) {
      const [bus, publisher] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const warnings: BusEvents['warning'][] = [];
      bus.on('warning', (event) => warnings.push(event));
      const [grouped, live, wide] = [t.collector<number>(), t.collector<number>(), t.collector<number>()];
      await bus.subscribe<number>(topic, grouped.handle, { group: t.name() });
      await bus.subscribe<number>(topic, live.handle);
      const all = [grouped, live];
      if (t.capabilities.wildcards !== 'none') {
        await bus.subscribe<number>(t.topic('#'), wide.handle, { group: t.name('wide') });
        all.push(wide);
      }
      const canAsk = t.capabilities.request !== 'none';
      if (canAsk) await bus.respond(topic, ({ data }) => data);
      await publisher.publish(topic, -1);
      if (canAsk) await publisher.request(topic, 1, { timeout: 10_000 });
      await t.until('it works', () => all.every((got) => got.data.includes(-1)));
      await t.server.wipe!();
      for (const n of numbers(100)) await publisher.publish(topic, n);
      for (const got of all)
        await t.until('all came after the wipe', () => distinct(got.data).length === 101, HEALING);
      if (canAsk) {
        const ask = (): Promise<unknown> =>
          publisher.request(topic, 'again', { timeout: 1_000 }).then(
            ({ data }) => data,
            () => undefined,
          );
        assert.equal(await t.until('requests are answered again', ask, HEALING), 'again');
      }
      assert.equal(warnings.length, 1, JSON.stringify(warnings));
      assert.equal(warnings[0]!.broker, t.broker);
      t.note(
        'duplicates',
        all.reduce((sum, got) => sum + got.data.length - 101, 0),
      );
    },
  },
  {
    id: 'faults/wipe-under-load',
    name: 'what is confirmed after the server lost its state is handled, however busy it was',
    power: ['wipe'],
    isolated: true,
    timeout: 120_000,
    async run(t) {
      const [bus, other, publisher] = [await t.bus(), await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      const before = new Load(t, topic);
      for (const one of [bus, other]) await before.consume(one, { group, concurrency: 5 });
      const publishing = before.publish(publisher, 0, 500);
      await before.reach(200, 30_000);
      await t.server.wipe!();
      await publishing;
      const after = new Load(t, topic);
      await after.publish(publisher, 1_000, 500);
      await t.until(
        'all that came after it was handled',
        () => [...after.confirmed].every((n) => before.handled.includes(n)),
        HEALING,
      );
    },
  },
];

const crashed: readonly Case[] = [
  {
    id: 'faults/crash-consumer',
    name: 'a consumer that dies in the middle of 1,000 messages loses none: the others get what it had',
    power: ['crash'],
    timeout: 180_000,
    async run(t) {
      const publisher = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(publisher, topic, group);
      const load = new Load(t, topic);
      const doomed = await t.busWithBroker({}, t.shortLease);
      const options = { group, concurrency: 20, prefetch: 100 };
      await load.publish(publisher, 0, 1_000);
      let isDead = false;
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      // What a dead process had begun never ends: neither handled nor failed.
      await load.consume(doomed.bus, options, () => (isDead ? end.promise : undefined));
      await t.until('it is in the middle', () => load.handled.length > 200);
      isDead = true;
      await t.server.crash!(doomed.broker);
      const other = await t.bus({}, t.shortLease);
      await load.consume(other, options);
      const { lease } = other.capabilities.limits;
      await load.complete(2 * lease + HEALING);
      await settled(t, publisher, topic, group);
    },
  },
  {
    id: 'faults/crash-publisher',
    name: 'a publisher that dies loses nothing that was confirmed to it',
    power: ['crash'],
    timeout: 60_000,
    async run(t) {
      const consumer = await t.bus();
      const { bus: doomed, broker } = await t.busWithBroker();
      const topic = t.topic();
      const load = new Load(t, topic);
      await load.consume(consumer, { group: t.name() });
      const publishing = Promise.all(numbers(10).map((n) => load.publish(doomed, n * 100, 100)));
      publishing.catch(() => {});
      await load.reach(300, HEALING);
      await t.server.crash!(broker);
      await load.complete(HEALING);
    },
  },
  {
    id: 'faults/crash-again-and-again',
    name: 'a message whose consumers all die with it ends in the dead letters, and the others are handled',
    power: ['crash'],
    timeout: 300_000,
    async run(t) {
      const dead = t.topic('dead');
      const options = { deadLetter: { topic: dead }, retry: { maxRetries: 2, delays: [10] } };
      const publisher = await t.bus(options);
      const topic = t.topic();
      const group = t.name();
      await standingGroup(publisher, topic, group);
      await publisher.publish(topic, 'poison');
      const letters = t.collector();
      await publisher.subscribe(dead, letters.handle);
      const { lease } = (await t.create(t.shortLease)).capabilities.limits;
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      for (const attempt of [1, 2, 3]) {
        const doomed = await t.busWithBroker(options, t.shortLease);
        let began = 0;
        await doomed.bus.subscribe(
          topic,
          (message) => {
            began = message.attempt;
            return end.promise;
          },
          { group },
        );
        await t.until('its handler runs', () => began > 0, 2 * lease + HEALING);
        assert.equal(began, attempt);
        await t.server.crash!(doomed.broker);
      }
      await publisher.publish(topic, 'good');
      const got = t.collector();
      const last = await t.bus(options, t.shortLease);
      await last.subscribe(topic, got.handle, { group });
      await t.until('it is dead', () => letters.messages.length > 0, 2 * lease + HEALING);
      await t.until('the good one came', () => got.data.includes('good'));
      assert.deepEqual(got.data, ['good']);
      assert.equal(letters.messages[0]!.data, 'poison');
      assert.equal(letters.messages[0]!.failure!.reason, 'retries-exhausted');
    },
  },
];

/** Lost state and dead consumers. */
export const faults: readonly Case[] = chapter('faults', [...wiped, ...crashed]);
