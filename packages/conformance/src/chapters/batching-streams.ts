import assert from 'node:assert/strict';
import { ClosedError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled, standingGroup } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Messages as an async iterable. */
export const batchingStreams: readonly Case[] = chapter('batching', [
  {
    id: 'batching/stream',
    name: 'a stream gives one message after the other and acks each when the next is asked for',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(20).map((data) => ({ topic, data, key: 'k' })));
      const seen: number[] = [];
      for await (const message of bus.stream<string>(topic, { group, prefetch: 4 })) {
        assert.ok(bus.stats().running <= 1, 'more than one is out');
        seen.push(message.data as number);
        if (seen.length < 20) continue;
        await message.ack();
        break;
      }
      assert.deepEqual(seen, numbers(20));
      await settled(t, bus, topic, group);
      await t.until('its subscription has ended', () => bus.stats().subscriptions === 0);
    },
  },
  {
    id: 'batching/stream-left',
    name: 'leaving a stream gives back what was not acked, the last one included, and nothing is lost',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(10).map((data) => ({ topic, data })));
      const seen: number[] = [];
      for await (const message of bus.stream(topic, { group })) {
        seen.push(message.data);
        if (seen.length === 3) break;
      }
      const failing = async (): Promise<void> => {
        for await (const message of bus.stream(topic, { group })) {
          seen.push(message.data);
          throw new Error('in the loop');
        }
      };
      await assert.rejects(failing, /in the loop/);
      const got = t.collector<number>();
      await bus.subscribe<number>(topic, got.handle, { group });
      await t.until('the rest came', () => distinct([...seen.slice(0, 2), ...got.data]).length === 10);
      // Two were acked by asking for the next; the third and what the error met came again.
      assert.deepEqual(
        distinct(got.data),
        numbers(10).filter((n) => !seen.slice(0, 2).includes(n)),
      );
      assert.equal(bus.stats().deadLettered, 0);
    },
  },
  {
    id: 'batching/stream-ends',
    name: 'a stream that waits ends by itself when its signal fires, and when its bus closes',
    async run(t) {
      const bus = await t.bus();
      const controller = new AbortController();
      const ends = [
        bus.stream(t.topic('a'), { group: t.name(), signal: controller.signal }),
        bus.stream(t.topic('b'), { group: t.name() }),
        bus.stream(t.topic('c')),
      ].map((stream) => stream.next());
      await t.until('all wait', () => bus.stats().subscriptions === 3);
      controller.abort();
      assert.deepEqual(await ends[0], { done: true, value: undefined });
      await t.until('its subscription has ended', () => bus.stats().subscriptions === 2);
      await bus.close();
      assert.deepEqual(await ends[1], { done: true, value: undefined });
      assert.deepEqual(await ends[2], { done: true, value: undefined });
      await rejection(ClosedError, () => bus.stream(t.topic('d')).next());
    },
  },
  {
    id: 'batching/stream-backpressure',
    name: 'a stream holds no more than its prefetch, however slowly it is read',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(30).map((data) => ({ topic, data })));
      const stream = bus.stream(topic, { group, prefetch: 3 });
      let most = 0;
      for (let n = 0; n < 30; n++) {
        const { value } = await stream.next();
        const { running, waiting } = bus.stats();
        most = Math.max(most, running + waiting);
        if (n === 29) await value!.ack();
      }
      await stream.return!();
      assert.ok(most <= 3, `${most} were held`);
      await settled(t, bus, topic, group);
    },
  },
]);
