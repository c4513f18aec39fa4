import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { errorNamed, failing } from '../helpers/failing.ts';
import { settled } from '../helpers/groups.ts';
import { listen } from '../helpers/listen.ts';
import { numbers } from '../helpers/sequence.ts';

const NEVER = (): Error => new Error('never');

/** One try, so that a message is a dead letter at once. */
const ONCE = { maxRetries: 0 };

/** What becomes of a message that fails for good. */
export const deadLetters: readonly Case[] = chapter('dead-letters', [
  {
    id: 'dead-letters/record',
    name: 'a dead letter says why, where, when and how often it failed, and is the message otherwise',
    async run(t) {
      const topic = t.topic('orders.created');
      const dead = t.topic('dead');
      const retry = { maxRetries: 2, initialDelay: 10 };
      const bus = await t.bus({ deadLetter: { topic: dead }, retry });
      const letters = await collectDeadLetters(t, bus, dead);
      const error = errorNamed('OrderError', { code: 'E_ORDER' });
      await failing(t, bus, topic, () => error);
      const options = {
        headers: { tenant: 'ä7' },
        key: 'k',
        correlationId: 'c',
        type: 'com.example.order',
        source: '/orders',
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        ttl: 600_000,
      };
      const before = Date.now();
      const { id } = await bus.publish(topic, { n: 1 }, options);
      const letter = await t.until('it is a dead letter', () => letters.messages[0]);
      const { failure } = letter;
      const { stack, ...described } = failure!.error!;
      assert.deepEqual(described, { name: 'OrderError', message: 'a OrderError', code: 'E_ORDER' });
      assert.match(stack!, /failing/);
      const { time, error: _, ...rest } = failure!;
      assert.deepEqual(rest, {
        reason: 'retries-exhausted',
        attempts: 3,
        topic,
        group: t.name(),
        pattern: topic,
        messageId: id,
      });
      assert.ok(time >= before && time <= Date.now(), 'when it failed');
      assert.notEqual(letter.id, id, 'an id of its own');
      assert.equal(letter.topic, dead);
      assert.deepEqual(letter.data, { n: 1 });
      assert.deepEqual({ ...letter.headers }, options.headers);
      for (const name of ['key', 'correlationId', 'type', 'source', 'traceparent'] as const)
        assert.equal(letter[name], options[name], name);
      assert.equal(letter.expiresAt, undefined, 'it does not expire there');
      await settled(t, bus, topic, t.name());
    },
  },
  {
    id: 'dead-letters/pattern',
    name: "a dead letter of a pattern's subscription names the pattern and the topic",
    needs: ['wildcards'],
    async run(t) {
      const dead = t.topic('dead.letters');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: ONCE });
      const letters = await collectDeadLetters(t, bus, dead);
      await failing(t, bus, t.topic('orders.*'), NEVER);
      await bus.publish(t.topic('orders.created'), 1);
      const { failure } = await t.until('it is a dead letter', () => letters.messages[0]);
      assert.deepEqual([failure!.topic, failure!.pattern], [t.topic('orders.created'), t.topic('orders.*')]);
    },
  },
  {
    id: 'dead-letters/two-groups',
    name: 'a message that fails in two groups is two dead letters; a group that can handle it is not concerned',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: ONCE });
      const letters = await collectDeadLetters(t, bus, dead);
      const fine = await listen(t, bus, topic, { group: t.name('fine') });
      await failing(t, bus, topic, NEVER, undefined, { group: t.name('one') });
      await failing(t, bus, topic, NEVER, undefined, { group: t.name('two') });
      const { id } = await bus.publish(topic, 'x');
      await t.until('both are dead letters', () => letters.messages.length >= 2 && fine.data.length >= 1);
      const sorted = letters.messages.map(({ failure }) => failure!.group).toSorted();
      assert.deepEqual(sorted, [t.name('one'), t.name('two')]);
      for (const { failure } of letters.messages) assert.equal(failure!.messageId, id);
      assert.equal(new Set(letters.messages.map((letter) => letter.id)).size, 2);
    },
  },
  {
    id: 'dead-letters/error-kinds',
    name: 'whatever a handler throws is described: texts, nothing, objects, huge messages',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: ONCE });
      const letters = await collectDeadLetters(t, bus, dead);
      const thrown: readonly unknown[] = [
        'a text "ä"\n',
        new Error('x'.repeat(100_000)),
        Object.assign(new Error('with a stack'), { stack: 's'.repeat(100_000) }),
        { an: 'object' },
        null,
        new AggregateError([new Error('one')], 'several'),
      ];
      await bus.subscribe<number>(
        topic,
        ({ data }) => {
          throw thrown[data];
        },
        { group: t.name() },
      );
      for (const n of numbers(thrown.length)) await bus.publish(topic, n);
      await t.until('all are dead letters', () => letters.messages.length >= thrown.length);
      const byData = letters.messages.toSorted((a, b) => Number(a.data) - Number(b.data));
      const [text, long, stack, object, , several] = byData.map(({ failure }) => failure!.error!);
      assert.equal(text!.message, 'a text "ä"\n');
      assert.ok(long!.message.length >= 1_000 && long!.message.length <= 10_000, 'cut to a sensible length');
      assert.ok(stack!.stack!.length <= 10_000, 'cut to a sensible length');
      assert.equal(typeof object!.message, 'string');
      assert.deepEqual([several!.name, several!.message], ['AggregateError', 'several']);
    },
  },
  {
    id: 'dead-letters/bytes',
    name: 'the body of a dead letter is byte for byte what was published, also the largest',
    timeout: 60_000,
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: ONCE });
      const letters = await collectDeadLetters(t, bus, dead);
      await failing(t, bus, topic, () => new Error('e'.repeat(5_000)));
      const { maxBodyBytes } = bus.capabilities.limits;
      const bodies = [
        Uint8Array.of(0xff, 0, 0xc3),
        new Uint8Array(0),
        Buffer.alloc(Math.min(maxBodyBytes, 64 * 1024 * 1024), 'x'),
      ];
      for (const [n, body] of bodies.entries()) {
        await bus.publish(topic, body);
        const letter = await t.until('it is a dead letter', () => letters.messages[n], 30_000);
        assert.ok(Buffer.from(body).equals(letter.body), 'as it was');
        assert.equal(letter.contentType, 'application/octet-stream');
      }
    },
  },
  {
    id: 'dead-letters/compressed',
    name: 'a compressed message fails and is read as a dead letter like any other',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead }, retry: ONCE });
      const letters = await collectDeadLetters(t, bus, dead);
      await failing(t, bus, t.topic(), NEVER);
      const text = 'compress me '.repeat(1_000);
      await bus.publish(t.topic(), text, { compress: true });
      const letter = await t.until('it is a dead letter', () => letters.messages[0]);
      assert.deepEqual([letter.data, letter.contentEncoding], [text, 'gzip']);
    },
  },
  {
    id: 'dead-letters/own-topic',
    name: 'a subscription may have a dead-letter topic of its own',
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('of-bus') }, retry: ONCE });
      const ofBus = await listen(t, bus, t.topic('of-bus'));
      const own = await listen(t, bus, t.topic('own'));
      await failing(t, bus, t.topic('a'), NEVER, undefined, { deadLetter: { topic: t.topic('own') } });
      await failing(t, bus, t.topic('b'), NEVER);
      await bus.publish(t.topic('a'), 'a');
      await bus.publish(t.topic('b'), 'b');
      await t.until('both are dead letters', () => ofBus.data.length > 0 && own.data.length > 0);
      assert.deepEqual([ofBus.data, own.data], [['b'], ['a']]);
    },
  },
  {
    id: 'dead-letters/off',
    name: 'with dead letters switched off a message that fails for good is dropped, with an event, and the next is handled',
    async run(t) {
      for (const place of ['bus', 'subscription'] as const) {
        const topic = t.topic(place);
        const bus = await t.bus({ retry: ONCE, ...(place === 'bus' ? { deadLetter: false } : {}) });
        const dropped: string[] = [];
        bus.on('message.dropped', ({ id, reason }) => dropped.push(`${id} ${reason}`));
        const { runs } = await failing(
          t,
          bus,
          topic,
          ({ data }) => (data === 'bad' ? NEVER() : undefined),
          undefined,
          place === 'subscription' ? { deadLetter: false } : {},
        );
        const { id } = await bus.publish(topic, 'bad');
        await bus.publish(topic, 'good');
        await t.until('both were handled', () => runs.length >= 2 && dropped.length >= 1);
        assert.deepEqual(dropped, [`${id} retries-exhausted`]);
        await settled(t, bus, topic, t.name());
        const { deadLettered, dropped: count } = bus.stats();
        assert.deepEqual([deadLettered, count], [0, 1]);
      }
    },
  },
]);
