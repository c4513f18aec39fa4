import assert from 'node:assert/strict';
import { ConfigError, type Middleware, PublishError, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { settled } from '../helpers/groups.ts';
import { rejection } from '../helpers/rejection.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

/** Writes down when it is entered and left. */
function tracing(name: string, story: string[]): Middleware {
  return {
    name,
    async publish(_, next) {
      story.push(`${name}>`);
      const receipt = await next();
      story.push(`<${name}`);
      return receipt;
    },
    async consume(_, next) {
      story.push(`(${name}`);
      const result = await next();
      story.push(`${name})`);
      return result;
    },
  };
}

/** What wraps publishing and handling. */
export const resilienceMiddleware: readonly Case[] = chapter('resilience', [
  {
    id: 'resilience/middleware-order',
    name: 'the first middleware is the outermost on both sides; one that is added later is inside',
    async run(t) {
      const story: string[] = [];
      const sender = await t.bus({ middleware: [tracing('a', story), tracing('b', story)] });
      sender.use(tracing('c', story));
      const topic = t.topic();
      await sender.publish(topic, 1);
      assert.deepEqual(story.splice(0), ['a>', 'b>', 'c>', '<c', '<b', '<a']);
      const receiver = await t.bus({ middleware: [tracing('a', story)] });
      receiver.use(tracing('b', story));
      let handled = 0;
      await receiver.subscribe(
        topic,
        () => {
          handled++;
          story.push('handler');
        },
        { group: t.name() },
      );
      // Subscriptions keep what they were made with.
      receiver.use(tracing('c', story));
      const plain = await t.bus();
      await plain.publish(topic, 2);
      await t.until('it was handled', () => handled === 1 && story.includes('a)'));
      assert.deepEqual(story, ['(a', '(b', 'handler', 'b)', 'a)']);
    },
  },
  {
    id: 'resilience/middleware-changes',
    name: 'what a middleware changes is what is sent, and what the handler sees; settling settles the message itself',
    async run(t) {
      const topic = t.topic();
      const elsewhere = t.topic('elsewhere');
      const bus = await t.bus({
        middleware: [
          {
            publish(outgoing, next) {
              outgoing.topic = elsewhere;
              outgoing.data = { wrapped: outgoing.data };
              outgoing.options = { ...outgoing.options, headers: { by: 'middleware' }, key: 'k' };
              return next();
            },
            consume: (message, next) =>
              next(
                message.with({ data: { seen: message.data }, headers: { ...message.headers, more: 'yes' } }),
              ),
          },
        ],
      });
      const got = t.collector();
      const group = t.name();
      const handle = async (message: Parameters<typeof got.handle>[0]): Promise<void> => {
        got.handle(message);
        await message.ack();
      };
      await bus.subscribe(elsewhere, handle, { group, ack: 'manual' });
      const { topic: sentTo } = await bus.publish(topic, 1);
      assert.equal(sentTo, elsewhere);
      await t.until('it came', () => got.messages.length === 1);
      const [message] = got.messages;
      assert.deepEqual(message!.data, { seen: { wrapped: 1 } });
      assert.deepEqual({ ...message!.headers }, { by: 'middleware', more: 'yes' });
      assert.equal(message!.key, 'k');
      assert.equal(message!.topic, elsewhere);
      await t.until('it was acked', () => bus.stats().acked === 1);
      await settled(t, bus, elsewhere, group);
    },
  },
  {
    id: 'resilience/middleware-short-circuit',
    name: 'without next nothing is sent, and a handler does not run while its message counts as handled',
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const sender = await t.bus({
        middleware: [
          {
            publish: async (outgoing, next) =>
              outgoing.data === 'held back' ? { id: 'mine', topic: outgoing.topic } : next(),
          },
        ],
      });
      const receiver = await t.bus({
        middleware: [{ consume: async (message, next) => (message.data === 'skipped' ? undefined : next()) }],
      });
      const got = t.collector();
      await receiver.subscribe(topic, got.handle, { group });
      assert.equal((await sender.publish(topic, 'held back')).id, 'mine');
      await sender.publish(topic, 'skipped');
      await t.after(
        () => sender.publish(topic, 'marker'),
        () => got.data.includes('marker'),
      );
      await t.until('the skipped one counts', () => receiver.stats().handled === 2);
      assert.deepEqual(got.data, ['marker']);
      assert.equal(sender.stats().published, 2);
      await settled(t, receiver, topic, group);
    },
  },
  {
    id: 'resilience/middleware-errors',
    name: "an error in a middleware is the publish's, or the handler's and leads to a retry",
    async run(t) {
      const topic = t.topic();
      const refused = new ValidationError('not this one');
      const own = new Error('an error of its own');
      const sender = await t.bus({
        middleware: [
          {
            async publish(outgoing, next) {
              if (outgoing.data === 'own') throw own;
              if (outgoing.data === 'before') throw refused;
              const receipt = await next();
              if (outgoing.data === 'after') throw refused;
              return receipt;
            },
          },
        ],
      });
      const receiver = await t.bus({
        middleware: [
          {
            async consume(message, next) {
              if (message.data === 'first try' && message.attempt === 1) throw new Error('before');
              await next();
              if (message.data === 'second try' && message.attempt === 1) throw new Error('after');
            },
          },
        ],
      });
      const got = t.collector();
      const handle = (message: Parameters<typeof got.handle>[0]): void => got.handle(message);
      await receiver.subscribe(topic, handle, { group: t.name(), retry: { delays: [20] } });
      assert.equal(await rejection(ValidationError, () => sender.publish(topic, 'before')), refused);
      assert.equal(await rejection(ValidationError, () => sender.publish(topic, 'after')), refused);
      assert.equal(await sender.publish(topic, 'own').catch((error: unknown) => error), own);
      // At once, and not as a promise: whoever comes next with the key must not wait for it.
      const thrower = await t.bus({
        middleware: [
          {
            publish(outgoing, next) {
              if (outgoing.data === 'own') throw own;
              return next();
            },
          },
        ],
      });
      const keyed = { key: t.name() };
      assert.equal(await thrower.publish(topic, 'own', keyed).catch((error: unknown) => error), own);
      await thrower.publish(topic, 'keyed', keyed);
      const many = await rejection(PublishError, () => sender.publishMany([{ topic, data: 'own' }]));
      assert.equal(many.retryable, false);
      assert.ok(ValidationError.is(many.failures[0]?.error));
      assert.equal(many.failures[0].error.cause, own);
      await sender.publish(topic, 'first try');
      await sender.publish(topic, 'second try');
      await t.until('all were handled', () => receiver.stats().handled === 4);
      const tries = got.messages.map(({ data, attempt }) => `${data} ${attempt}`).sort();
      assert.deepEqual(tries, ['after 1', 'first try 2', 'keyed 1', 'second try 1', 'second try 2']);
    },
  },
  {
    id: 'resilience/middleware-misuse',
    name: 'calling next twice, and setting an option that is not allowed, are refused by name',
    async run(t) {
      const topic = t.topic();
      const twice: Middleware = {
        name: 'twice',
        async publish(_, next) {
          await next();
          return next();
        },
      };
      const wrong: Middleware = {
        publish(outgoing, next) {
          outgoing.options = { ...outgoing.options, ttl: -5 };
          return next();
        },
      };
      const bus = await t.bus({ middleware: [twice] });
      await rejection(ConfigError, () => bus.publish(topic, 1), 'twice', 'next');
      const other = await t.bus({ middleware: [wrong] });
      await rejection(ValidationError, () => other.publish(topic, 1), '"ttl"', '-5');
      const elsewhere: Middleware = {
        publish(outgoing, next) {
          outgoing.topic = 'no topic';
          return next();
        },
      };
      const third = await t.bus({ middleware: [elsewhere] });
      await rejection(ValidationError, () => third.publish(topic, 1), 'no topic');
    },
  },
  {
    id: 'resilience/middleware-batches',
    name: "a batch handler's messages pass the middleware one by one, and those it holds back are not in the batch",
    async run(t) {
      const topic = t.topic();
      const group = t.name();
      const bus = await t.bus({
        middleware: [
          {
            consume: async (message, next) =>
              message.data === 3 ? undefined : next(message.with({ data: -message.data })),
          },
        ],
      });
      const seen: number[] = [];
      await bus.subscribe(
        topic,
        (messages) => void seen.push(...messages.map(({ data }) => data as number)),
        {
          group,
          ack: { batch: 5, maxWait: 50 },
        },
      );
      await bus.publishMany(numbers(10).map((n) => ({ topic, data: n + 1 })));
      await t.until('all came', () => seen.length >= 9);
      await settled(t, bus, topic, group);
      assert.deepEqual(
        distinct(seen.map((n) => -n)),
        numbers(10)
          .map((n) => n + 1)
          .filter((n) => n !== 3),
      );
    },
  },
  {
    id: 'resilience/middleware-requests',
    name: 'requests and their answers pass the middleware, which knows them apart',
    needs: ['request'],
    async run(t) {
      const topic = t.topic();
      const kinds: string[] = [];
      const note: Middleware = {
        publish(outgoing, next) {
          kinds.push(outgoing.kind);
          return next();
        },
      };
      const asker = await t.bus({ middleware: [note] });
      const answerer = await t.bus({
        middleware: [note, { consume: async (_, next) => ({ answer: await next() }) }],
      });
      await answerer.respond(topic, () => 42);
      const { data } = await asker.request(topic, 1, { timeout: 10_000 });
      assert.deepEqual(data, { answer: 42 });
      await asker.publish(topic, 1);
      assert.deepEqual(kinds, ['request', 'reply', 'publish']);
      const own = new Error('an error of its own');
      const out = await t.bus({ middleware: [{ publish: () => Promise.reject(own) }] });
      const back = await t.bus({ middleware: [{ reply: () => Promise.reject(own) }] });
      for (const bus of [out, back]) {
        assert.equal(await bus.request(topic, 1, { timeout: 10_000 }).catch((error: unknown) => error), own);
      }
    },
  },
  {
    id: 'resilience/middleware-both-ways',
    name: 'a middleware that wraps payloads on the way out and unwraps them on the way in is not noticed, nor by an edited replay',
    needs: ['request', 'browse'],
    async run(t) {
      const wrapping: Middleware = {
        publish: (outgoing, next) => {
          outgoing.data = { wrapped: outgoing.data };
          return next();
        },
        consume: (message, next) => next(message.with({ data: message.data.wrapped })),
        reply: (reply) => ({ ...reply, data: reply.data.wrapped }),
      };
      const bus = await t.bus({ middleware: [wrapping], deadLetter: { topic: t.topic('dead') } });
      const [topic, question] = [t.topic(), t.topic('question')];
      await bus.respond(question, ({ data }) => data + 1);
      assert.equal((await bus.request(question, 1, { timeout: 10_000 })).data, 2);
      assert.deepEqual(
        (await bus.scatter(question, 5, { max: 1, timeout: 10_000 })).map(({ data }) => data),
        [6],
      );

      const seen: unknown[] = [];
      await bus.subscribe(
        topic,
        ({ data }) => {
          seen.push(data);
          if (data === 'bad') throw new ValidationError('bad');
        },
        { group: t.name() },
      );
      await bus.publish(topic, 'bad');
      await t.until('it lies there', async () => (await bus.deadLetters.list()).items.length === 1);
      await bus.deadLetters.replay({}, { edit: () => ({ data: 'good' }) });
      await t.until('it came again', () => seen.length === 2);
      assert.deepEqual(seen, ['bad', 'good']);
    },
  },
  {
    id: 'resilience/odd-failures',
    name: 'a filter that answers with a promise, and an error that cannot be read, end in the dead letters',
    needs: ['browse'],
    async run(t) {
      const bus = await t.bus({ retry: false, deadLetter: { topic: t.topic('dead') } });
      const [filtered, thrown] = [t.topic('filtered'), t.topic('thrown')];
      const unreadable = {
        get message(): string {
          throw new Error('no message');
        },
      };
      const options = { group: t.name() };
      const handled = t.collector();
      await bus.subscribe(filtered, handled.handle, { ...options, filter: (async () => false) as never });
      await bus.subscribe(thrown, () => Promise.reject(unreadable), options);
      await bus.publish(filtered, 1);
      await bus.publish(thrown, 1);
      await t.until('both lie there', async () => (await bus.deadLetters.list()).items.length === 2);
      assert.deepEqual(handled.data, []);
    },
  },
]);
