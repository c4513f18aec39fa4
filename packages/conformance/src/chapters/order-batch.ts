import assert from 'node:assert/strict';
import { ConnectionError, type Message } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { standingGroup } from '../helpers/groups.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['keyOrder'] as const;
const RETRY = { initialDelay: 10, maxRetries: 3 };

/** The order of a key where messages are handled in batches. */
export const orderBatch: readonly Case[] = chapter('order', [
  {
    id: 'order/batch',
    name: 'batches keep the order of each key, and no key is in two running batches',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus();
      const keys = ['a', 'b', 'c'];
      await standingGroup(bus, topic, t.name());
      await Promise.all(numbers(40).flatMap((n) => keys.map((key) => bus.publish(topic, n, { key }))));
      const seen = new Map<string, number[]>(keys.map((key) => [key, []]));
      const running = new Map<string, number>();
      const overlaps = new Set<string>();
      let count = 0;
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          const own = new Set(messages.map(({ key }) => key!));
          for (const key of own) {
            if ((running.get(key) ?? 0) > 0) overlaps.add(key);
            running.set(key, (running.get(key) ?? 0) + 1);
          }
          for (const { key, data } of messages) seen.get(key!)!.push(data);
          await new Promise((resolve) => setTimeout(resolve, 1));
          for (const key of own) running.set(key, running.get(key)! - 1);
          count += messages.length;
        },
        { group: t.name(), ack: { batch: 7, maxWait: 20 }, concurrency: 4 },
      );
      await t.until('all were handled', () => count >= 120);
      for (const key of keys) assert.deepEqual(seen.get(key), numbers(40), `key ${key}`);
      assert.deepEqual([...overlaps], []);
    },
  },
  {
    id: 'order/batch-middleware',
    name: 'a batch stands in order where middleware takes longer for one message than for the next',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const [topic, group] = [t.topic(), t.name()];
      bus.use({
        async consume(message, next) {
          await new Promise((resolve) => setTimeout(resolve, 10 - 2 * (message.data as number)));
          await next(message);
        },
      });
      const seen: number[] = [];
      await bus.subscribe(
        topic,
        (messages: readonly Message<number>[]) => void seen.push(...messages.map(({ data }) => data)),
        {
          group,
          ack: { batch: 4, maxWait: 500 },
        },
      );
      await Promise.all(numbers(4).map((n) => bus.publish(topic, n, { key: 'k' })));
      await t.until('all came', () => seen.length === 4);
      assert.deepEqual(seen, numbers(4));
    },
  },
  {
    id: 'order/batch-block',
    name: 'a message that fails in a batch holds back its key where the order is to block',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus({ retry: RETRY });
      await standingGroup(bus, topic, t.name());
      for (const n of numbers(6)) await bus.publish(topic, n, { key: 'k' });
      const done: number[] = [];
      let failed = 0;
      await bus.subscribe(
        topic,
        async (messages: readonly Message<number>[]) => {
          for (const message of messages) {
            if (message.data === 2 && failed < 2) {
              failed++;
              throw new Error('not yet');
            }
            await message.ack();
            done.push(message.data);
          }
        },
        { group: t.name(), ack: { batch: 2, maxWait: 20 }, order: 'block' },
      );
      await t.until('all were handled', () => done.length >= 6);
      assert.deepEqual(done, numbers(6));
    },
  },
  {
    id: 'order/batch-outage',
    name: 'in a batch a message that cannot be read in an outage holds back its key',
    needs: NEEDS,
    async run(t) {
      let fails = 1;
      const bus = await t.bus({
        serializer: {
          contentType: 'application/x-needy',
          serialize: (data) => Buffer.from(JSON.stringify(data)),
          async deserialize(body) {
            const data = JSON.parse(Buffer.from(body).toString());
            if (data === 1 && fails-- > 0) throw new ConnectionError('no registry', { retryable: true });
            return data;
          },
        },
      });
      const [topic, group] = [t.topic(), t.name()];
      await standingGroup(bus, topic, group);
      await bus.publishMany(numbers(6).map((data) => ({ topic, data, key: 'k' })));
      await bus.publish(topic, 'other', { key: 'o' });
      const seen: Message<number | string>[] = [];
      await bus.subscribe(
        topic,
        (messages: readonly Message<number | string>[]) => void seen.push(...messages),
        { group, ack: { batch: 4, maxWait: 50 } },
      );
      await t.until('all came', () => seen.length >= 7);
      const ofKey = seen.filter(({ key }) => key === 'k');
      assert.deepEqual(
        ofKey.map(({ data }) => data),
        numbers(6),
      );
      for (const { attempt, data } of seen) assert.equal(attempt, 1, `attempt of ${data}`);
    },
  },
  {
    id: 'order/batch-block-before-handler',
    name: 'in a batch a message whose filter or middleware fails holds back its key where the order is to block',
    needs: NEEDS,
    async run(t) {
      for (const place of ['filter', 'middleware']) {
        const bus = await t.bus({ retry: RETRY });
        const [topic, group] = [t.topic(place), t.name(place)];
        await standingGroup(bus, topic, group);
        await bus.publishMany(numbers(6).map((data) => ({ topic, data, key: 'k' })));
        let fails = 2;
        const fail = ({ data }: Message): true => {
          if (data === 1 && fails-- > 0) throw new Error('not yet');
          return true;
        };
        if (place === 'middleware') {
          bus.use({
            async consume(message, next) {
              fail(message);
              await next(message);
            },
          });
        }
        const seen: Message<number>[] = [];
        await bus.subscribe(topic, (messages: readonly Message<number>[]) => void seen.push(...messages), {
          group,
          order: 'block',
          ack: { batch: 4, maxWait: 50 },
          filter: place === 'filter' ? fail : undefined,
        });
        await t.until(`all came (${place})`, () => seen.length >= 6);
        assert.deepEqual(
          seen.map(({ data }) => data),
          numbers(6),
          place,
        );
        for (const { attempt, data } of seen) assert.equal(attempt, data === 1 ? 3 : 1, `attempt of ${data}`);
      }
    },
  },
]);
