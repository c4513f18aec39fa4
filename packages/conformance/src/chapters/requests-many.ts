import assert from 'node:assert/strict';
import {
  AbortError,
  type Bus,
  NoRespondersError,
  RemoteError,
  ScatterError,
  TimeoutError,
  ValidationError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

const needs = ['request'] as const;

/** A responder on a bus of its own. */
async function responder(
  t: CaseContext,
  topic: string,
  answer: () => unknown,
  group?: string,
): Promise<void> {
  const bus = await t.bus();
  await bus.respond(topic, answer, { group });
}

/** Waits until so many answer: another server of a cluster may hear of a responder a moment after it is in place. */
async function answering(t: CaseContext, asker: Bus, topic: string, count: number): Promise<void> {
  await t.until(`${count} answer`, async () => {
    const asked = asker.scatter(topic, 1, { min: count, max: count, timeout: 2_000 });
    return asked.then(
      () => true,
      () => false,
    );
  });
}

/** Answers nothing as long as the case runs. */
function silence(t: CaseContext): () => Promise<void> {
  const end = Promise.withResolvers<void>();
  t.cleanup(() => end.resolve());
  return () => end.promise;
}

const scatter: readonly Case[] = [
  {
    id: 'requests/scatter',
    name: 'scatter gets one answer from each responder group and each ungrouped responder',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      await responder(t, topic, () => 'a', t.name('a'));
      await responder(t, topic, () => 'a', t.name('a'));
      await responder(t, topic, () => 'b', t.name('b'));
      await responder(t, topic, () => 'one');
      await responder(t, topic, () => 'two');
      await answering(t, asker, topic, 4);
      const replies = await asker.scatter(topic, 1, { max: 4, timeout: 10_000 });
      assert.deepEqual(replies.map(({ data }) => data).sort(), ['a', 'b', 'one', 'two']);
      assert.equal(new Set(replies.map(({ responder }) => responder)).size, 4);
      assert.equal(replies.find(({ data }) => data === 'a')!.responder, t.name('a'));
    },
  },
  {
    id: 'requests/scatter-max',
    name: 'scatter is done as soon as it has as many answers as it asked for at most',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      await responder(t, topic, () => 'quick');
      await responder(t, topic, () => 'quick');
      await responder(t, topic, silence(t));
      await answering(t, asker, topic, 2);
      const replies = await asker.scatter(topic, 1, { max: 2, timeout: 60_000 });
      assert.deepEqual(
        replies.map(({ data }) => data),
        ['quick', 'quick'],
      );
    },
  },
  {
    id: 'requests/scatter-deadline',
    name: 'scatter without a maximum returns at the deadline what has come',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      await responder(t, topic, () => 'quick');
      await responder(t, topic, silence(t));
      // The inbox is opened by the first request, which may take longer than the deadline measured here.
      await answering(t, asker, topic, 1);
      const start = Date.now();
      const replies = await asker.scatter(topic, 1, { timeout: 500 });
      const took = Date.now() - start;
      assert.deepEqual(
        replies.map(({ data }) => data),
        ['quick'],
      );
      assert.ok(took >= 480 && took < 3_000, `it took ${took} ms`);
    },
  },
  {
    id: 'requests/scatter-min',
    name: 'scatter with fewer answers than wanted fails, and carries those that came',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      await responder(t, topic, () => 'quick');
      await responder(t, topic, silence(t));
      await answering(t, asker, topic, 1);
      const error = await rejection(
        ScatterError,
        () => asker.scatter(topic, 1, { min: 2, timeout: 400 }),
        '1 of',
      );
      assert.deepEqual(
        (error.replies as { data: unknown }[]).map(({ data }) => data),
        ['quick'],
      );
      assert.equal(error.topic, topic);
    },
  },
  {
    id: 'requests/scatter-errors',
    name: 'a responder that fails is not an answer: scatter goes on, and says so when too few are left',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      const fail = (): never => {
        throw new RangeError('cannot');
      };
      await responder(t, topic, fail);
      await responder(t, topic, () => 'fine');
      await answering(t, asker, topic, 1);
      const replies = await asker.scatter(topic, 1, { max: 1, timeout: 10_000 });
      assert.deepEqual(
        replies.map(({ data }) => data),
        ['fine'],
      );
      const error = await rejection(ScatterError, () => asker.scatter(topic, 1, { min: 2, timeout: 400 }));
      const { errors } = error.cause as AggregateError;
      assert.equal(errors.length, 1);
      assert.ok(RemoteError.is(errors[0]));
      assert.equal(errors[0].remoteName, 'RangeError');
    },
  },
  {
    id: 'requests/scatter-nobody',
    name: 'scatter to nobody fails at once where the broker knows, and is an empty list where none is asked for',
    needs: ['request', 'noResponders'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      await rejection(NoRespondersError, () => bus.scatter(topic, 1, { timeout: 60_000 }));
      assert.deepEqual(await bus.scatter(topic, 1, { min: 0, timeout: 60_000 }), []);
    },
    async refused(t) {
      if (t.capabilities.request === 'none') return;
      const bus = await t.bus();
      await rejection(ScatterError, () => bus.scatter(t.topic(), 1, { timeout: 300 }));
      assert.deepEqual(await bus.scatter(t.topic('none'), 1, { min: 0, timeout: 300 }), []);
    },
  },
  {
    id: 'requests/scatter-many',
    name: '50 scattered requests at once to 5 responders get 250 answers, each its own',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      for (const n of numbers(5)) {
        const bus = await t.bus();
        await bus.respond(topic, ({ data }) => ({ n, answerTo: data }));
      }
      await answering(t, asker, topic, 5);
      const all = await Promise.all(
        numbers(50).map((n) =>
          asker.scatter<{ n: number; answerTo: number }>(topic, n, { max: 5, timeout: 15_000 }),
        ),
      );
      for (const [n, replies] of all.entries()) {
        assert.deepEqual(replies.map(({ data }) => data.n).sort(), numbers(5));
        assert.ok(replies.every(({ data }) => data.answerTo === n));
      }
    },
  },
];

const first: readonly Case[] = [
  {
    id: 'requests/first',
    name: 'the first good answer of several topics counts; errors and silence on the others do not matter',
    needs,
    async run(t) {
      const asker = await t.bus();
      const [failing, silent, good] = [t.topic('failing'), t.topic('silent'), t.topic('good')];
      await responder(t, failing, () => Promise.reject(new Error('cannot')));
      await responder(t, silent, silence(t));
      await responder(t, good, () => 'good');
      const topics = [failing, silent, good, t.topic('nobody')];
      const { data } = await asker.requestFirst(topics, 1, { timeout: 15_000 });
      assert.equal(data, 'good');
    },
  },
  {
    id: 'requests/first-none',
    name: 'when no topic gives a good answer, an error of a responder is reported before silence',
    needs,
    async run(t) {
      const asker = await t.bus();
      const [failing, silent] = [t.topic('failing'), t.topic('silent')];
      await responder(t, failing, () => Promise.reject(new RangeError('cannot')));
      await responder(t, silent, silence(t));
      await asker.request(failing, 1, { timeout: 10_000 }).catch(() => {});
      const error = await rejection(RemoteError, () =>
        asker.requestFirst([silent, failing], 1, { timeout: 500 }),
      );
      assert.equal(error.remoteName, 'RangeError');
      await rejection(TimeoutError, () => asker.requestFirst([silent], 1, { timeout: 200 }));
      await rejection(ValidationError, () => asker.requestFirst([], 1), 'topic');
    },
  },
  {
    id: 'requests/first-abort',
    name: 'an aborted request to several topics ends at once',
    needs,
    async run(t) {
      const asker = await t.bus();
      const topic = t.topic();
      let asked = 0;
      const forever = silence(t);
      await responder(t, topic, () => {
        asked++;
        return forever();
      });
      const controller = new AbortController();
      const failed = rejection(AbortError, () =>
        asker.requestFirst([topic], 1, { timeout: 60_000, signal: controller.signal }),
      );
      await t.until('it was asked', () => asked === 1);
      controller.abort();
      await failed;
    },
  },
];

/** Asking many. */
export const requestsMany: readonly Case[] = chapter('requests', [...scatter, ...first]);
