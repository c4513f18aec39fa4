import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { listen } from '../helpers/listen.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['keyOrder'] as const;

/** Publishes of one key that are not waited for. */
export const orderPublish: readonly Case[] = chapter('order', [
  {
    id: 'order/publish-order',
    name: 'publishes of one key that are not waited for are handled in the order of the calls',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<number>(t, bus, topic, { concurrency: 16 });
      const sent: Promise<unknown>[] = [];
      for (const n of numbers(300)) {
        sent.push(bus.publish(topic, n, { key: 'k' }));
        if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(sent);
      await t.until('all came', () => got.data.length >= 300);
      assert.deepEqual(got.data, numbers(300));
    },
  },
  {
    id: 'order/publish-order-middleware',
    name: 'the order of the calls also holds where middleware takes longer for one message than for the next',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      bus.use({
        async publish(outgoing, next) {
          const wait = (outgoing.data as number) % 3;
          if (wait > 0) await new Promise((resolve) => setTimeout(resolve, 6 - 2 * wait));
          return next();
        },
      });
      const got = await listen<number>(t, bus, topic, { concurrency: 16 });
      await Promise.all(numbers(60).map((n) => bus.publish(topic, n, { key: 'k' })));
      await t.until('all came', () => got.data.length >= 60);
      assert.deepEqual(got.data, numbers(60));
    },
  },
  {
    id: 'order/publish-order-connecting',
    name: 'the order of the calls also holds over the time in which the bus connects',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const got = await listen<number>(t, await t.bus(), topic);
      const bus = await t.bus();
      const sent: Promise<unknown>[] = [];
      for (const n of numbers(100)) {
        sent.push(bus.publish(topic, n, { key: 'k' }));
        if (n % 2 === 0) await null;
      }
      await Promise.all(sent);
      await t.until('all came', () => got.data.length >= 100);
      assert.deepEqual(got.data, numbers(100));
    },
  },
  {
    id: 'order/publish-order-full',
    name: 'the order of the calls also holds where publishes wait for room',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const got = await listen<number>(t, await t.bus(), topic);
      const bus = await t.bus({ maxPending: 10 });
      const sent: Promise<unknown>[] = [];
      for (const n of numbers(200)) {
        sent.push(bus.publish(topic, n, { key: 'k' }));
        if (n % 20 === 0) await sent[n - 5];
      }
      await Promise.all(sent);
      await t.until('all came', () => got.data.length >= 200);
      assert.deepEqual(got.data, numbers(200));
    },
  },
  {
    id: 'order/publish-order-mixed',
    name: 'the order of the calls also holds where some messages take longer to make: compressed, or written asynchronously',
    needs: NEEDS,
    async run(t) {
      const slow = t.topic('slow');
      const serializer = {
        contentType: 'application/x-slow',
        serialize: async (data: unknown) => {
          const { n } = data as { n: number };
          if (n % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
          return Buffer.from(String(n));
        },
        deserialize: (body: Uint8Array) => ({ n: Number(Buffer.from(body).toString()) }),
      };
      const bus = await t.bus({ topics: { [slow]: { serializer } } });
      const text = 'a long text that compresses well. '.repeat(2_000);
      const compressed = await listen<{ n: number }>(t, bus, t.topic());
      const written = await listen<{ n: number }>(t, bus, slow);
      await Promise.all(
        numbers(30).flatMap((n) => [
          bus.publish(t.topic(), { n, text: n % 5 === 0 ? text : '' }, { key: 'k', compress: n % 5 === 0 }),
          bus.publish(slow, { n }, { key: 'k' }),
        ]),
      );
      await t.until('all came', () => compressed.data.length >= 30 && written.data.length >= 30);
      for (const { data } of [compressed, written]) {
        assert.deepEqual(
          data.map(({ n }) => n),
          numbers(30),
        );
      }
    },
  },
]);
