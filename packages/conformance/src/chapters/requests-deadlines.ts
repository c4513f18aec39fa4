import assert from 'node:assert/strict';
import {
  AbortError,
  type BusEvents,
  ClosedError,
  NoRespondersError,
  RemoteError,
  TimeoutError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

const needs = ['request'] as const;

/** Requests that are not answered, or not in time. */
export const requestsDeadlines: readonly Case[] = chapter('requests', [
  {
    id: 'requests/deadline',
    name: 'a request without an answer ends at its deadline, and the late answer is dropped with an event',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const answer = Promise.withResolvers<string>();
      let asked = 0;
      await bus.respond(topic, ({ data }) => {
        asked++;
        return data === 'slow' ? answer.promise : 'quick';
      });
      // The first one makes the way: what is measured is the deadline and not the connecting.
      await bus.request(topic, 'quick', { timeout: 10_000 });
      const late: BusEvents['reply.late'][] = [];
      bus.on('reply.late', (event) => late.push(event));
      const start = Date.now();
      const error = await rejection(
        TimeoutError,
        () => bus.request(topic, 'slow', { timeout: 300 }),
        '300 ms',
      );
      const took = Date.now() - start;
      assert.ok(took >= 280 && took < 2_000, `it took ${took} ms`);
      assert.equal(error.topic, topic);
      assert.equal(error.retryable, true);
      await t.until('the second request came', () => asked === 2);
      answer.resolve('too late');
      // A responder may see that nobody waits any more and not answer at all; what is sent is reported.
      const { data } = await bus.request(topic, 'quick', { timeout: 10_000 });
      assert.equal(data, 'quick');
      await t.until('the late answer is reported', () => late.length === 1);
      assert.equal(late[0]!.topic, topic);
    },
  },
  {
    id: 'requests/default-deadline',
    name: "a request without a timeout of its own has the bus's",
    needs,
    async run(t) {
      const bus = await t.bus({ requestTimeout: 150 });
      const topic = t.topic();
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      await bus.respond(topic, () => end.promise);
      await rejection(TimeoutError, () => bus.request(topic, 1), '150 ms');
    },
  },
  {
    id: 'requests/abort',
    name: 'an aborted request ends at once with the reason, also one that was aborted before it began',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      let asked = 0;
      const answer = Promise.withResolvers<void>();
      await bus.respond(topic, () => {
        asked++;
        return answer.promise;
      });
      t.cleanup(() => answer.resolve());
      const controller = new AbortController();
      const request = bus.request(topic, 1, { signal: controller.signal, timeout: 60_000 });
      const failed = rejection(AbortError, () => request);
      await t.until('it was asked', () => asked === 1);
      const reason = new Error('changed my mind');
      controller.abort(reason);
      assert.equal((await failed).cause, reason);
      await rejection(AbortError, () => bus.request(topic, 1, { signal: controller.signal }));
      await rejection(AbortError, () => bus.scatter(topic, 1, { signal: controller.signal }));
      await rejection(AbortError, () => bus.requestFirst([topic], 1, { signal: controller.signal }));
      assert.equal(asked, 1);
    },
  },
  {
    id: 'requests/no-responders',
    name: 'a request that nobody answers fails at once, also after the last responder has left',
    needs: ['request', 'noResponders'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const start = performance.now();
      const error = await rejection(NoRespondersError, () => bus.request(topic, 1, { timeout: 60_000 }));
      assert.equal(error.topic, topic);
      const responder = await bus.respond(topic, () => 1);
      assert.equal((await bus.request(topic, 1, { timeout: 10_000 })).data, 1);
      await responder.unsubscribe();
      await rejection(NoRespondersError, () => bus.request(topic, 1, { timeout: 60_000 }));
      // A plain subscriber is nobody who answers.
      await bus.subscribe(topic, () => 1, { group: t.name() });
      await rejection(NoRespondersError, () => bus.request(topic, 1, { timeout: 60_000 }));
      assert.ok(performance.now() - start < 15_000, 'it did not wait for the deadlines');
    },
    async refused(t) {
      if (t.capabilities.request === 'none') return;
      const bus = await t.bus();
      await rejection(TimeoutError, () => bus.request(t.topic(), 1, { timeout: 300 }));
    },
  },
  {
    id: 'requests/expired-requests',
    name: 'a request whose deadline has passed while it waited is not handled',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const seen: unknown[] = [];
      const free = Promise.withResolvers<void>();
      await bus.respond(
        topic,
        async ({ data }) => {
          seen.push(data);
          await free.promise;
        },
        { concurrency: 1 },
      );
      const first = bus.request(topic, 'first', { timeout: 15_000 });
      await t.until('the responder is busy', () => seen.length === 1);
      await rejection(TimeoutError, () => bus.request(topic, 'second', { timeout: 150 }));
      // The requester gives up by its own timer, the responder goes by the time that the request carries.
      const gaveUp = Date.now();
      await t.until('it has expired for all clocks', () => Date.now() > gaveUp + 50);
      const third = bus.request(topic, 'third', { timeout: 15_000 });
      free.resolve();
      await Promise.all([first, third]);
      assert.deepEqual(seen, ['first', 'third']);
    },
  },
  {
    id: 'requests/handler-timeout',
    name: 'a responder that runs out of time answers with an error, and its signal fires',
    needs,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      let aborted = false;
      await bus.respond(
        topic,
        ({ signal }) =>
          new Promise(() => {
            signal.addEventListener('abort', () => {
              aborted = true;
            });
          }),
        { handlerTimeout: 150 },
      );
      const error = await rejection(RemoteError, () => bus.request(topic, 1, { timeout: 15_000 }));
      assert.equal(error.remoteName, 'TimeoutError');
      assert.equal(aborted, true);
    },
  },
  {
    id: 'requests/requester-closes',
    name: 'requests that wait when their bus closes fail as closed',
    needs,
    async run(t) {
      const [asker, answerer] = [await t.bus(), await t.bus()];
      const topic = t.topic();
      let asked = 0;
      const answer = Promise.withResolvers<void>();
      t.cleanup(() => answer.resolve());
      await answerer.respond(topic, () => {
        asked++;
        return answer.promise;
      });
      const failed = numbers(5).map(() =>
        rejection(ClosedError, () => asker.request(topic, 1, { timeout: 60_000 })),
      );
      await t.until('all were asked', () => asked === 5);
      await asker.close();
      await Promise.all(failed);
    },
  },
  {
    id: 'requests/responder-dies',
    name: 'the request in a dead responder ends at its deadline, and the next one finds another responder',
    needs,
    power: ['crash'],
    timeout: 90_000,
    async run(t) {
      const asker = await t.bus();
      const { bus: doomed, broker } = await t.busWithBroker();
      const topic = t.topic();
      const group = t.name();
      let asked = 0;
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      await doomed.respond(
        topic,
        () => {
          asked++;
          return end.promise;
        },
        { group },
      );
      const hanging = rejection(TimeoutError, () => asker.request(topic, 1, { timeout: 1_000 }));
      await t.until('it was asked', () => asked === 1);
      await t.server.crash!(broker);
      await hanging;
      const other = await t.bus();
      await other.respond(topic, () => 'alive', { group });
      const answer = (): Promise<unknown> =>
        asker.request(topic, 2, { timeout: 500 }).then(
          ({ data }) => data,
          () => undefined,
        );
      assert.equal(await t.until('the other answers', answer, 60_000), 'alive');
    },
  },
]);
