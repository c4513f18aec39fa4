import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';
import { answered, HEALING, underLoad } from '../helpers/under-load.ts';

function distinctTexts(list: readonly unknown[]): string[] {
  return [...new Set(list.map(String))].sort();
}

/** A server that is killed and comes back on its disk. */
export const faultsRestart: readonly Case[] = chapter('faults', [
  {
    id: 'faults/restart',
    name: 'a server killed at a third and at a half of 10,000 messages from 20 publishers loses nothing',
    needs: ['durable'],
    power: ['restart'],
    isolated: true,
    timeout: 600_000,
    run: (t) => underLoad(t, () => t.server.restart!()),
  },
  {
    id: 'faults/restart-idle',
    name: 'after a restart every subscription goes on: groups where they were, live ones, patterns and responders',
    needs: ['durable'],
    power: ['restart'],
    isolated: true,
    timeout: 300_000,
    async run(t) {
      const [bus, publisher] = [await t.bus(), await t.bus({ publishTimeout: HEALING })];
      const topic = t.topic();
      const [grouped, live, wide] = [t.collector<number>(), t.collector<number>(), t.collector<number>()];
      await bus.subscribe<number>(topic, grouped.handle, { group: t.name() });
      await bus.subscribe<number>(topic, live.handle);
      const all = [grouped, live];
      if (t.capabilities.wildcards !== 'none') {
        await bus.subscribe<number>(t.topic('#'), wide.handle, { group: t.name('wide') });
        all.push(wide);
      }
      if (t.capabilities.request !== 'none') await bus.respond(topic, () => 1);
      for (const n of numbers(10)) await publisher.publish(topic, n);
      await t.until('all came', () => all.every((got) => got.data.length === 10));
      let isBack = false;
      bus.on('reconnected', () => {
        isBack = true;
      });
      await t.server.restart!();
      await publisher.publish(topic, 10);
      await t.until('the bus is back', () => isBack, HEALING);
      for (const n of numbers(10)) await publisher.publish(topic, 11 + n);
      const later = numbers(10).map((n) => 11 + n);
      await t.until('all go on', () => all.every((got) => later.every((n) => got.data.includes(n))), HEALING);
      for (const got of all.filter((one) => one !== live)) assert.deepEqual(distinct(got.data), numbers(21));
      await answered(t, topic);
      t.note('duplicates', grouped.data.length - 21);
    },
  },
  {
    id: 'faults/restart-waiting',
    name: 'what waits in a group, for its time or for a retry is there after a restart, each once and with its attempts',
    needs: ['durable', 'delay', 'retryDelay'],
    power: ['restart'],
    isolated: true,
    timeout: 300_000,
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const bus = await t.bus({ publishTimeout: HEALING });
      await standingGroup(bus, topic, group);
      const retry = { delays: [3_000] };
      let failed = 0;
      const first = await bus.subscribe(
        topic,
        () => {
          failed++;
          throw new Error('fails');
        },
        { group, retry },
      );
      await bus.publish(topic, 'retried');
      await t.until('it failed', () => failed === 1 && bus.stats().retried === 1);
      await first.unsubscribe();
      await bus.publish(topic, 'waiting');
      await bus.publish(topic, 'delayed', { delay: 3_000 });
      await bus.close();
      await t.server.restart!();
      const other = await t.bus({ connectTimeout: HEALING, publishTimeout: HEALING });
      const got = t.collector();
      await t.until(
        'it connects',
        () =>
          other.connect().then(
            () => true,
            () => false,
          ),
        HEALING,
      );
      await other.subscribe(topic, got.handle, { group, retry });
      await t.until('all came', () => got.data.length >= 3, HEALING);
      await settled(t, other, topic, group);
      assert.deepEqual(got.data.toSorted(), ['delayed', 'retried', 'waiting']);
      const attempts = Object.fromEntries(got.messages.map(({ data, attempt }) => [data, attempt]));
      assert.deepEqual(attempts, { delayed: 1, retried: 2, waiting: 1 });
    },
  },
  {
    id: 'faults/restart-deduplication',
    name: 'an idempotency key is known after a restart',
    needs: ['durable', 'deduplication'],
    power: ['restart'],
    isolated: true,
    timeout: 300_000,
    async run(t) {
      const bus = await t.bus({ publishTimeout: HEALING });
      const topic = t.topic();
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group: t.name() });
      const options = { delivery: 'exactly-once', idempotencyKey: 'k' } as const;
      await bus.publish(topic, 'first', options);
      await t.until('it came', () => got.data.length === 1);
      await t.server.restart!();
      await bus.publish(topic, 'second', options);
      await bus.publish(topic, 'marker');
      await t.until('the marker came', () => got.data.includes('marker'), HEALING);
      assert.deepEqual(distinctTexts(got.data), ['first', 'marker']);
    },
  },
]);
