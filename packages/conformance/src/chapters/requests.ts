import assert from 'node:assert/strict';
import { type BusEvents, RemoteError, UnsupportedError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

const needs = ['request'] as const;

const answers: readonly Case[] = [
  {
    id: 'requests/reply',
    name: 'what a responder returns is the answer, and what goes with the request arrives',
    needs,
    async run(t) {
      const [asker, answerer] = [await t.bus({ source: 'asker' }), await t.bus({ source: 'answerer' })];
      const topic = t.topic();
      const got = t.collector<{ n: number }>();
      await answerer.respond(topic, async (request) => {
        got.handle(request);
        return { double: request.data.n * 2 };
      });
      const options = { headers: { a: 'b' }, correlationId: 'talk', key: 'k', type: 't', timeout: 10_000 };
      const reply = await asker.request(topic, { n: 21 }, options);
      assert.deepEqual(reply.data, { double: 42 });
      assert.equal(reply.source, 'answerer');
      assert.equal(reply.correlationId, 'talk');
      const [request] = got.messages;
      assert.deepEqual(request!.data, { n: 21 });
      assert.deepEqual({ ...request!.headers }, { a: 'b' });
      assert.equal(request!.key, 'k');
      assert.equal(request!.type, 't');
      assert.equal(request!.source, 'asker');
      assert.equal(typeof request!.replyTo, 'string');
      assert.ok(request!.expiresAt! > request!.time, 'a request expires with its deadline');
    },
    async refused(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await rejection(UnsupportedError, () => bus.request(topic, 1), 'request');
      await rejection(UnsupportedError, () => bus.scatter(topic, 1), 'request');
      await rejection(UnsupportedError, () => bus.requestFirst([topic], 1), 'request');
      await rejection(UnsupportedError, () => bus.respond(topic, () => 1), 'request');
    },
  },
  {
    id: 'requests/reply-forms',
    name: 'an answer may be nothing, null, text, bytes or an object, sent at once or later',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const values: readonly unknown[] = [undefined, null, 0, false, '', 'text', { a: [1, { b: null }] }];
      await bus.respond<string>(topic, ({ data }) => values[data as number]);
      for (const n of values.keys()) {
        const { data } = await bus.request(topic, n, { timeout: 10_000 });
        assert.deepEqual(data, values[n]);
      }
      const bytes = t.topic('bytes');
      await bus.respond(bytes, async ({ body }) => body.toReversed());
      const { data } = await bus.request(bytes, new Uint8Array([0, 255, 128]), { timeout: 10_000 });
      assert.deepEqual([...(data as Uint8Array)], [128, 255, 0]);
    },
  },
  {
    id: 'requests/reply-by-hand',
    name: 'a responder can answer by hand, with headers, before or after it returns; the first answer counts',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await bus.respond(topic, async (request, reply) => {
        if (request.data === 'later') {
          setImmediate(() => void reply.send('late but first').catch(() => {}));
          return;
        }
        await reply.send('first', { headers: { a: 'b' } });
        await reply.send('second');
        await reply.error(new Error('third'));
      });
      const reply = await bus.request(topic, 'now', { timeout: 10_000 });
      assert.equal(reply.data, 'first');
      assert.deepEqual({ ...reply.headers }, { a: 'b' });
      assert.equal((await bus.request(topic, 'later', { timeout: 10_000 })).data, 'late but first');
    },
  },
  {
    id: 'requests/reply-options',
    name: 'wrong options of an answer by hand are refused by name, and another answer may follow',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await bus.respond(topic, async (_, reply) => {
        for (const bad of [{ headrs: {} }, { headers: { n: 1 } }, { compress: 'zip' }, { delay: 1 }])
          await rejection(ValidationError, () => reply.send(1, bad as never), Object.keys(bad)[0]!);
        await reply.send('answered');
      });
      assert.equal((await bus.request(topic)).data, 'answered');
    },
  },
  {
    id: 'requests/error',
    name: "a responder's error reaches the requester with its name, text and code, however it failed",
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const fail = (): Error => Object.assign(new RangeError('out of range'), { code: 'E_RANGE' });
      await bus.respond(topic, ({ data }, reply) => {
        if (data === 'throw') throw fail();
        if (data === 'reject') return Promise.reject(fail());
        // biome-ignore lint/style/useThrowOnlyError: what a careless handler does
        if (data === 'text') throw 'just a text';
        if (data === 'hand') return reply.error(fail());
        return 'fine';
      });
      for (const way of ['throw', 'reject', 'hand']) {
        const error = await rejection(RemoteError, () => bus.request(topic, way, { timeout: 10_000 }));
        assert.equal(error.message, 'out of range');
        assert.equal(error.remoteName, 'RangeError');
        assert.equal(error.remoteCode, 'E_RANGE');
        assert.equal(error.topic, topic);
      }
      await rejection(RemoteError, () => bus.request(topic, 'text', { timeout: 10_000 }), 'just a text');
      assert.equal((await bus.request(topic, 'ok', { timeout: 10_000 })).data, 'fine');
    },
  },
  {
    id: 'requests/patterns',
    name: 'a responder on a pattern answers on every topic that matches',
    needs: ['request', 'wildcards'],
    async run(t) {
      const bus = await t.bus();
      await bus.respond(t.topic('a.*.c'), ({ topic }) => topic);
      for (const topic of [t.topic('a.1.c'), t.topic('a.2.c')]) {
        assert.equal((await bus.request(topic, 1, { timeout: 10_000 })).data, topic);
      }
    },
  },
  {
    id: 'requests/in-a-handler',
    name: 'a responder can ask others, and itself, before it answers',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic('factorial');
      await bus.respond(topic, async ({ data }): Promise<number> => {
        const n = data as number;
        if (n === 0) return 1;
        const below = await bus.request<number>(topic, n - 1, { timeout: 15_000 });
        return n * below.data;
      });
      const replies = await Promise.all(
        Array.from({ length: 5 }, () => bus.request(topic, 8, { timeout: 15_000 })),
      );
      assert.deepEqual(
        replies.map(({ data }) => data),
        Array.from({ length: 5 }, () => 40_320),
      );
    },
  },
  {
    id: 'requests/large',
    name: 'requests and answers of more than 1 MB pass, where the broker takes messages of that size',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const size = Math.min(t.capabilities.limits.maxBodyBytes, 1_500_000);
      const bytes = new Uint8Array(size).map((_, n) => n % 251);
      await bus.respond(topic, ({ body }) => body);
      const { data } = await bus.request(topic, bytes, { timeout: 15_000 });
      assert.equal(Buffer.compare(data as Uint8Array, bytes), 0);
      t.note('bytes', size);
    },
  },
];

const load: readonly Case[] = [
  {
    id: 'requests/in-flight',
    name: '1,000 requests in flight from two buses, answered in another order, never cross',
    needs,
    async run(t) {
      const askers = [await t.bus(), await t.bus()];
      const answerers = [await t.bus(), await t.bus()];
      const topic = t.topic();
      const group = t.name();
      for (const bus of answerers) {
        await bus.respond(
          topic,
          async ({ data }) => {
            if ((data as number) % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
            return { answerTo: data };
          },
          { group, concurrency: 500 },
        );
      }
      const replies = await Promise.all(
        numbers(1_000).map((n) => askers[n % 2]!.request(topic, n, { timeout: 18_000 })),
      );
      for (const [n, { data }] of replies.entries()) assert.deepEqual(data, { answerTo: n });
    },
  },
  {
    id: 'requests/groups-share',
    name: 'responders of a group share the requests: each is handled once, and each responder gets some',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      const seen: number[][] = [[], [], []];
      for (const mine of seen) {
        const bus = await t.bus();
        await bus.respond(topic, ({ data }) => mine.push(data as number), { group: t.name() });
      }
      await Promise.all(numbers(300).map((n) => asker.request(topic, n, { timeout: 15_000 })));
      assert.deepEqual(
        seen.flat().sort((a, b) => a - b),
        numbers(300),
      );
      for (const mine of seen) assert.ok(mine.length > 0, `one got none: ${seen.map((s) => s.length)}`);
    },
  },
  {
    id: 'requests/ungrouped-all',
    name: 'responders without a group all get a request; the first answer counts and the others are late',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      const seen: number[] = [];
      for (const n of numbers(3)) {
        const bus = await t.bus();
        await bus.respond(topic, () => {
          seen.push(n);
          return n;
        });
      }
      const late: BusEvents['reply.late'][] = [];
      asker.on('reply.late', (event) => late.push(event));
      const { data } = await asker.request(topic, 1, { timeout: 10_000 });
      await t.until('the others are late', () => late.length === 2);
      assert.deepEqual(distinct(seen), [0, 1, 2]);
      assert.ok(seen.includes(data as number));
      assert.equal(asker.stats().lateReplies, 2);
    },
  },
];

/** Asking one. */
export const requests: readonly Case[] = chapter('requests', [...answers, ...load]);
