import assert from 'node:assert/strict';
import type { Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { hanging } from '../helpers/hang.ts';
import { listen } from '../helpers/listen.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['keyOrder'] as const;
const RETRY = { initialDelay: 10, maxRetries: 3 };
/** Milliseconds until a bus that was cut off works again. */
const HEALING = 60_000;

/** The order of a key when something goes wrong with one of its messages. */
export const orderBlock: readonly Case[] = chapter('order', [
  {
    id: 'order/block-until-dead',
    name: 'a message that fails for good holds back its key until it is a dead letter, and no longer',
    needs: NEEDS,
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ retry: RETRY, deadLetter: { topic: dead } });
      const letters = await listen(t, bus, dead, { group: t.name('dead') });
      const topic = t.topic();
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        ({ data, attempt }) => {
          seen.push(`${data} ${attempt}`);
          if (data === 'a0') throw new Error('never');
        },
        { group: t.name(), order: 'block' },
      );
      for (const n of numbers(3)) await bus.publish(topic, `a${n}`, { key: 'a' });
      await t.until('all are done', () => letters.data.length >= 1 && seen.length >= 6);
      assert.deepEqual(seen, ['a0 1', 'a0 2', 'a0 3', 'a0 4', 'a1 1', 'a2 1']);
      assert.deepEqual(letters.data, ['a0']);
    },
  },
  {
    id: 'order/block-across-members',
    name: 'the order to block holds across the members of a group',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const seen: string[] = [];
      const failures = new Map<string, number>();
      const handle = ({ data, key }: Message<string>): void => {
        seen.push(`${key}${data}`);
        const failed = failures.get(`${key}${data}`) ?? 0;
        failures.set(`${key}${data}`, failed + 1);
        if (Number(data) % 2 === 0 && failed < 2) throw new Error('not yet');
      };
      for (const _ of numbers(3)) {
        const bus = await t.bus({ retry: RETRY });
        await bus.subscribe<string>(topic, handle, { group: t.name(), order: 'block', concurrency: 4 });
      }
      const publisher = await t.bus();
      const keys = ['a', 'b', 'c', 'd'];
      await Promise.all(
        numbers(4).flatMap((n) => keys.map((key) => publisher.publish(topic, String(n), { key }))),
      );
      await t.until('all were handled', () => seen.length >= 4 * 8);
      for (const key of keys) {
        const own = seen.filter((one) => one.startsWith(key)).map((one) => one.slice(1));
        assert.deepEqual(own, ['0', '0', '0', '1', '2', '2', '2', '3'], `key ${key}`);
      }
    },
  },
  {
    id: 'order/block-removed',
    name: 'a message that is removed while it waits for its retry holds back its key no longer',
    needs: [...NEEDS, 'admin'],
    async run(t) {
      const bus = await t.bus({ retry: { maxRetries: 1, initialDelay: 2_000, jitter: 0 } });
      const topic = t.topic();
      const keys = ['a', 'b', 'c'];
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        ({ data, key }) => {
          seen.push(`${key} ${data}`);
          if (data === 'bad') throw new Error('never');
        },
        { group: t.name(), order: 'block', concurrency: 4 },
      );
      for (const key of keys) await bus.publish(topic, 'bad', { key });
      await t.until('each has failed and waits', () => bus.stats().retried === keys.length);
      await bus.admin.purge(topic);
      for (const key of keys) await bus.publish(topic, 'next', { key });
      await t.until('the keys go on', () => keys.every((key) => seen.includes(`${key} next`)));
    },
  },
  {
    id: 'order/block-without-a-key',
    name: 'a failing message without a key holds back nobody, whatever the order',
    async run(t) {
      const bus = await t.bus({ retry: { initialDelay: 60_000 } });
      const topic = t.topic();
      const seen: string[] = [];
      await bus.subscribe<string>(
        topic,
        ({ data, attempt }) => {
          seen.push(`${data} ${attempt}`);
          if (data === 'fails') throw new Error('not yet');
        },
        { group: t.name(), order: 'block' },
      );
      await bus.publish(topic, 'fails');
      await t.until('it failed', () => seen.length > 0);
      await bus.publish(topic, 'passes');
      await t.until('the other was handled', () => seen.length >= 2);
      assert.deepEqual(seen, ['fails 1', 'passes 1']);
    },
  },
  {
    id: 'order/block-crash',
    name: 'what was not settled before a message that holds back its key comes before it when its member has vanished',
    needs: ['keyOrder', 'leases'],
    power: ['crash'],
    timeout: 180_000,
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({ retry: RETRY }, t.shortLease);
      const hang = hanging(t);
      await standingGroup(bus, topic, t.name());
      for (const n of numbers(4)) await bus.publish(topic, n, { key: 'k' });
      let isNacked = false;
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          await messages[1]!.nack({ delay: 50 });
          isNacked = true;
          await hang();
        },
        { group: t.name(), ack: { batch: 2, maxWait: 10_000 }, order: 'block' },
      );
      await t.until('the second one is nacked', () => isNacked);
      await t.server.crash!(broker);
      const survivor = await t.bus({}, t.shortLease);
      const after: number[] = [];
      await survivor.subscribe<number>(topic, ({ data }) => void after.push(data), {
        group: t.name(),
        order: 'block',
      });
      const lease = survivor.capabilities.limits.lease + 10_000;
      await t.until('all came', () => after.length >= 4, lease);
      assert.deepEqual(after, numbers(4));
    },
  },
  {
    id: 'order/crash',
    name: 'when a member vanishes, its keys go on at another in order, from the first message that was not acked',
    needs: ['keyOrder', 'leases'],
    power: ['crash'],
    timeout: 180_000,
    async run(t) {
      const topic = t.topic();
      const { bus, broker } = await t.busWithBroker({}, t.shortLease);
      const hang = hanging(t);
      const before = new Map<string, number[]>();
      const note = (into: Map<string, number[]>, { key, data }: Message<number>): void => {
        into.set(key!, [...(into.get(key!) ?? []), data]);
      };
      await bus.subscribe<number>(
        topic,
        async (message) => {
          note(before, message);
          if (message.data === 3) await hang();
        },
        { group: t.name(), concurrency: 4 },
      );
      const keys = ['a', 'b'];
      for (const n of numbers(10)) for (const key of keys) await bus.publish(topic, n, { key });
      await t.until('it hangs in both', () => keys.every((key) => before.get(key)?.at(-1) === 3));
      await t.until('it has acked what was before', () => bus.stats().acked === 6);
      await t.server.crash!(broker);
      const survivor = await t.bus({}, t.shortLease);
      const after = new Map<string, number[]>();
      await survivor.subscribe<number>(topic, (message) => note(after, message), { group: t.name() });
      const lease = survivor.capabilities.limits.lease + 10_000;
      await t.until('the rest came', () => keys.every((key) => (after.get(key)?.length ?? 0) >= 7), lease);
      for (const key of keys) assert.deepEqual(after.get(key), numbers(10).slice(3), `key ${key}`);
    },
  },
  {
    id: 'order/cut',
    name: 'keys keep their order over connections that break while messages are on their way',
    needs: ['keyOrder'],
    power: ['cut'],
    timeout: 180_000,
    async run(t) {
      const topic = t.topic();
      const topics = { [topic]: { retention: { maxMessages: 1_000_000 } } };
      const publisher = await t.bus({ topics });
      const { bus, broker } = await t.busWithBroker({ topics }, t.shortLease);
      const seen = new Map(['a', 'b', 'c', 'd'].map((key) => [key, new Set<number>()]));
      let handled = 0;
      await bus.subscribe<number>(
        topic,
        ({ key, data }) => {
          handled++;
          seen.get(key!)!.add(data);
        },
        { group: t.name() },
      );
      let [going, published] = [true, 0];
      const publishing = (async () => {
        while (going) {
          const data = published++;
          await publisher.publishMany(Array.from(seen.keys(), (key) => ({ topic, data, key })));
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      for (let cuts = 0; cuts < 5; cuts++) {
        const enough = handled + 200;
        await t.until('messages come', () => handled >= enough, HEALING);
        const restore = await t.server.cut!(broker);
        await t.quiet('it is cut for a moment', () => true, 40);
        await restore();
      }
      going = false;
      await publishing;
      await t.until('all came', () => [...seen.values()].every(({ size }) => size === published), HEALING);
      for (const [key, data] of seen) assert.deepEqual([...data], numbers(published), `key ${key}`);
    },
  },
]);
