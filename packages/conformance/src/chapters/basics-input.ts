import assert from 'node:assert/strict';
import {
  type BusOptions,
  ConfigError,
  type PublishOptions,
  SerializationError,
  type StandardSchema,
  ValidationError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { arrival, listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';

/** Each with what its refusal has to say besides the option's name. */
const BAD_OPTIONS: readonly (readonly [keyof PublishOptions | 'prioritty', unknown, string])[] = [
  ['key', '', '256'],
  ['key', 'x'.repeat(257), '256'],
  ['key', 7, '7'],
  ['key', '\ud800', 'well-formed'],
  ['id', '', '128'],
  ['id', 'x'.repeat(129), '128'],
  ['correlationId', 'x'.repeat(257), '256'],
  ['causationId', 5, '5'],
  ['priority', 'urgent', '"urgent"'],
  ['priority', 5, '5'],
  ['priority', -1, '-1'],
  ['ttl', 0, '0'],
  ['ttl', -1, '-1'],
  ['ttl', 1.5, '1.5'],
  ['ttl', Number.NaN, 'NaN'],
  ['ttl', '1000', '"1000"'],
  ['delay', -1, '-1'],
  ['delay', Number.POSITIVE_INFINITY, 'Infinity'],
  ['deliverAt', new Date(Number.NaN), 'valid Date'],
  ['deliverAt', 1_700_000_000_000, 'valid Date'],
  ['delivery', 'twice', '"twice"'],
  ['idempotencyKey', 'without exactly-once', 'exactly-once'],
  ['compress', 'rar', '"rar"'],
  ['retry', { maxRetries: -1 }, 'maxRetries'],
  ['retry', { retryOn: Error }, 'retryOn'],
  ['retry', { order: 'block' }, 'order'],
  ['signal', {}, 'AbortSignal'],
  ['prioritty', 'high', 'priority'],
];

const circular: { self?: unknown } = {};
circular.self = circular;

/** What the default serializer has no form for; each with what its refusal has to say. */
const BAD_DATA: readonly (readonly [unknown, string])[] = [
  [() => 1, 'function'],
  [{ a: { b: Symbol('s') } }, 'a.b'],
  [{ n: 10n }, 'bigint'],
  [[Number.NaN], 'NaN'],
  [{ m: new Map() }, 'Map'],
  [{ e: new Error('x') }, 'Error'],
  [circular, 'self'],
  [{ bytes: new Uint8Array(1) }, 'binary'],
];

/** Accepts `{ n: number }`, and gives `{ n: number, checked: true }`. */
const schema: StandardSchema<{ n: number }, { n: number; checked: true }> = {
  '~standard': {
    version: 1,
    vendor: 'conformance',
    validate: (value) => {
      const n = (value as { n?: unknown } | null)?.n;
      return typeof n === 'number'
        ? { value: { n, checked: true as const } }
        : { issues: [{ message: 'must be a number', path: ['n'] }] };
    },
  },
};

/** Bad input is refused before it is sent. */
export const basicsInput: readonly Case[] = chapter('basics', [
  {
    id: 'basics/bad-publish-options',
    name: 'a publish option that is not allowed is refused with its name, its value and the limit, and nothing is sent',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      for (const [name, value, part] of BAD_OPTIONS) {
        const publish = (): Promise<unknown> => bus.publish(topic, 'bad', { [name]: value });
        await rejection(ValidationError, publish, `"${name}"`, part);
      }
      const both = { delay: 10, deliverAt: new Date() };
      await rejection(ValidationError, () => bus.publish(topic, 'bad', both), '"delay"', '"deliverAt"');
      await t.after(
        () => bus.publish(topic, 'good'),
        () => got.data.includes('good'),
      );
      assert.deepEqual(got.data, ['good']);
      assert.equal(bus.stats().published, 1);
    },
  },
  {
    id: 'basics/limits-of-options',
    name: 'the longest key, id and correlation id that are allowed arrive unchanged',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const options = {
        key: 'k'.repeat(256),
        id: `${t.name('id')}${'i'.repeat(128 - t.name('id').length)}`,
        correlationId: 'ö'.repeat(256),
        causationId: 'c"\\\n'.padEnd(256, 'x'),
      };
      const message = await arrival(t, got, () => bus.publish(topic, 1, options));
      for (const [name, value] of Object.entries(options)) {
        assert.equal(message[name as keyof typeof options], value, name);
      }
    },
  },
  {
    id: 'basics/unserializable',
    name: 'a payload that cannot be written is a SerializationError that says where, and nothing is sent',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      for (const [data, part] of BAD_DATA) {
        const error = await rejection(SerializationError, () => bus.publish(topic, data), part);
        assert.equal(error.topic, topic);
      }
      await t.after(
        () => bus.publish(topic, 'good'),
        () => got.data.includes('good'),
      );
      assert.deepEqual(got.data, ['good']);
    },
  },
  {
    id: 'basics/bad-subscribe-options',
    name: 'a subscribe option that is not allowed is refused with its name and value',
    async run(t) {
      const bus = await t.bus();
      const bad: readonly (readonly [string, unknown, string])[] = [
        ['group', 'a group', '"a group"'],
        ['group', '', '""'],
        ['group', 'x'.repeat(65), '64'],
        ['group', 'a.b', '"a.b"'],
        ['concurrency', 0, '0'],
        ['concurrency', 1.5, '1.5'],
        ['prefetch', 0, '0'],
        ['ack', 'never', '"never"'],
        ['ack', { batch: 0 }, 'batch'],
        ['retry', { factor: 0.5 }, 'factor'],
        ['retry', { delays: [] }, 'delays'],
        ['retry', { initalDelay: 5 }, 'initialDelay'],
        ['deadLetter', { topic: 'no topic' }, 'topic'],
        ['deadLetter', true, 'true'],
        ['handlerTimeout', 0, '0'],
        ['order', 'any', '"any"'],
        ['from', 'yesterday', '"yesterday"'],
        ['filter', {}, 'filter'],
        ['delivery', 'maybe', '"maybe"'],
        ['groop', 'x', 'group'],
      ];
      for (const [name, value, part] of bad) {
        const subscribe = (): Promise<unknown> => bus.subscribe(t.topic(), () => {}, { [name]: value });
        await rejection(ValidationError, subscribe, `"${name}"`, part);
      }
      const options = { ack: { batch: 100 }, prefetch: 10 } as const;
      await rejection(
        ValidationError,
        () => bus.subscribe(t.topic(), () => {}, options),
        '"prefetch"',
        '100',
      );
      await rejection(ValidationError, () => bus.subscribe(t.topic(), 'no function' as never), 'function');
      assert.equal(bus.stats().subscriptions, 0);
    },
  },
  {
    id: 'basics/bad-bus-options',
    name: 'an option of the bus that is not allowed is a ConfigError with its name and value',
    async run(t) {
      const bad: readonly (readonly [keyof BusOptions | 'retries', unknown, string])[] = [
        ['prefix', 'a b', 'letters'],
        ['publishTimeout', 0, '0'],
        ['retry', { maxDelay: -1 }, 'maxDelay'],
        ['deadLetter', { topic: 'a.*' }, 'topic'],
        ['serializer', 'yaml', '"yaml"'],
        ['topics', { 'a b': {} }, '"a b"'],
        ['topics', { a: { durability: 'eternal' } }, '"eternal"'],
        ['topics', { a: { unknown: 1 } }, '"unknown"'],
        ['retries', 3, 'retry'],
      ];
      for (const [name, value, part] of bad) {
        await rejection(ConfigError, () => t.bus({ [name]: value }), `"${name}"`, part);
      }
    },
  },
  {
    id: 'basics/schema',
    name: 'a payload that does not match its schema is refused with its issues; on arrival it is a dead letter',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const strict = await t.bus({ topics: { [topic]: { schema } }, deadLetter: { topic: dead } });
      const careless = await t.bus();
      const letters = await collectDeadLetters(t, strict, dead);
      const got = await listen(t, strict, topic);
      const error = await rejection(ValidationError, () => strict.publish(topic, { n: 'one' }), 'n: must be');
      assert.deepEqual(error.issues, [{ message: 'must be a number', path: ['n'] }]);
      const { id } = await careless.publish(topic, { n: 'two' });
      const good = await arrival(t, got, () => strict.publish(topic, { n: 3 }));
      assert.deepEqual(good.data, { n: 3, checked: true }, "the schema's output");
      assert.equal(Buffer.from(good.body).toString(), '{"n":3}', 'what is sent is the input');
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      assert.equal(letters.messages[0]!.failure!.messageId, id);
      assert.match(letters.messages[0]!.failure!.error!.message, /must be a number/);
      assert.deepEqual(letters.data[0], { n: 'two' });
      assert.equal(got.messages.length, 1);
    },
  },
]);
