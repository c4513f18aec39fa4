import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { MessageTooLargeError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { arrival, listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';

/** What JSON can hold and something on the way might not. */
const JSON_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1.5,
  1e300,
  Number.MAX_SAFE_INTEGER,
  '',
  ' \t\r\n',
  '\u0000\u001f\u007f\u2028\u2029',
  'ä€𝄞👩‍👩‍👧 \ufeff"\\/',
  '"quoted"',
  '{"looks":"like json"}',
  [],
  {},
  [[[[]]]],
  { '': '', ' ': null, 'a.b': { 'c"d': [1, 'two', { three: 3 }] }, __proto__x: 1 },
  JSON.parse('{"__proto__":{"polluted":true}}'),
  'x'.repeat(100_000),
];

/** The server's limit, where it has one that a test can fill. */
const LARGEST = 64 * 1024 * 1024;

/** What compresses well, and so that any loss shows. */
const TEXT = Array.from({ length: 2_000 }, (_, n) => `line ${n} of a text`).join('\n');

/** Bytes of every value, also where that is not UTF-8. */
const ALL_BYTES = Uint8Array.from({ length: 512 }, (_, n) => n & 0xff);

/** What a body can be. */
export const basicsBodies: readonly Case[] = chapter('basics', [
  {
    id: 'basics/json-bodies',
    name: 'every value that JSON has arrives as it was',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      for (const value of JSON_VALUES) {
        const message = await arrival(t, got, () => bus.publish(topic, value));
        assert.deepEqual(message.data, value);
        assert.equal(Buffer.from(message.body).toString(), JSON.stringify(value));
      }
      assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    },
  },
  {
    id: 'basics/binary-bodies',
    name: 'bytes arrive as bytes, each as it was, also where they are not UTF-8',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<Uint8Array>(t, bus, topic);
      const bodies = [
        ALL_BYTES,
        Uint8Array.of(0),
        Uint8Array.of(0xff, 0xfe, 0xfd),
        Uint8Array.of(0xc3, 0x28),
        Uint8Array.of(0xed, 0xa0, 0x80),
        Buffer.from('{"json": "as bytes"}'),
        Buffer.from('\r\n\r\n\0\r\n'),
        randomBytes(50_000),
        ALL_BYTES.subarray(100, 300),
      ];
      for (const body of bodies) {
        const message = await arrival(t, got, () => bus.publish(topic, body));
        assert.ok(message.data instanceof Uint8Array, 'bytes');
        assert.ok(Buffer.from(body).equals(message.data), 'the data is the same');
        assert.ok(Buffer.from(body).equals(message.body), 'the body is the same');
        assert.equal(message.contentType, 'application/octet-stream');
      }
    },
  },
  {
    id: 'basics/empty-body',
    name: 'nothing, no bytes, and an empty text arrive as what they were',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const nothing = await arrival(t, got, () => bus.publish(topic));
      assert.equal(nothing.data, undefined);
      assert.equal(nothing.body.length, 0);
      const explicit = await arrival(t, got, () => bus.publish(topic, undefined, { headers: { a: 'b' } }));
      assert.equal(explicit.data, undefined);
      assert.deepEqual({ ...explicit.headers }, { a: 'b' });
      const bytes = await arrival(t, got, () => bus.publish(topic, new Uint8Array(0)));
      assert.ok(bytes.data instanceof Uint8Array && bytes.data.length === 0, 'no bytes');
      const text = await arrival(t, got, () => bus.publish(topic, ''));
      assert.equal(text.data, '');
    },
  },
  {
    id: 'basics/body-is-taken-at-once',
    name: 'what a publisher does with its data after publish was called changes nothing',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const bytes = Uint8Array.of(1, 2, 3);
      const buffer = Buffer.from([1, 2, 3]);
      const object = { n: 1 };
      const headers = { a: 'b' };
      const sent = [
        bus.publish(topic, bytes),
        bus.publish(topic, buffer),
        bus.publish(topic, object, { headers }),
      ];
      bytes.fill(9);
      buffer.fill(9);
      object.n = 9;
      headers.a = 'z';
      await Promise.all(sent);
      await t.until('all came', () => got.messages.length >= 3);
      for (const { data, headers: given } of got.messages) {
        if (data instanceof Uint8Array) assert.deepEqual([...data], [1, 2, 3]);
        else assert.deepEqual([data, { ...given }], [{ n: 1 }, { a: 'b' }]);
      }
    },
  },
  {
    id: 'basics/copies-are-apart',
    name: 'what one handler does to its message is not seen by another, nor by the next attempt',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const seen: string[] = [];
      const spoil = (data: { list: number[] } | Uint8Array): void => {
        seen.push(data instanceof Uint8Array ? `bytes ${data.join()}` : `list ${data.list.join()}`);
        if (data instanceof Uint8Array) data.fill(0);
        else data.list.length = 0;
      };
      const retry = { maxRetries: 1, initialDelay: 10 };
      for (const group of [t.name('one'), t.name('two'), undefined]) {
        await bus.subscribe<{ list: number[] } | Uint8Array>(
          topic,
          (message) => {
            spoil(message.data);
            if (message.attempt === 1) throw new Error('once more');
          },
          { group, retry },
        );
      }
      await bus.publish(topic, { list: [1, 2] });
      await bus.publish(topic, Uint8Array.of(3, 4));
      await t.until('each was handled twice by each', () => seen.length >= 12);
      assert.deepEqual(seen.toSorted(), [...Array(6).fill('bytes 3,4'), ...Array(6).fill('list 1,2')]);
    },
  },
  {
    id: 'basics/largest-body',
    name: 'the largest body passes, with the largest headers, and one byte more of either is a MessageTooLargeError',
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<Uint8Array>(t, bus, topic);
      const { maxBodyBytes, maxHeaderBytes } = bus.capabilities.limits;
      const size = Math.min(maxBodyBytes, LARGEST);
      const body = Buffer.alloc(size, 'x');
      const headerSize = Math.min(maxHeaderBytes, 64 * 1024);
      const headers = { name: 'v'.repeat(headerSize - 'name'.length) };
      await bus.publish(topic, body, { headers });
      await t.until('it came', () => got.messages.length > 0, 30_000);
      assert.ok(body.equals(got.data[0]!), 'it is the same');
      assert.deepEqual({ ...got.messages[0]!.headers }, headers);
      if (size === maxBodyBytes) {
        const more = Buffer.alloc(maxBodyBytes + 1, 'x');
        const error = await rejection(
          MessageTooLargeError,
          () => bus.publish(topic, more),
          String(maxBodyBytes),
          String(maxBodyBytes + 1),
        );
        assert.deepEqual([error.limit, error.size], [maxBodyBytes, maxBodyBytes + 1]);
      }
      if (headerSize === maxHeaderBytes) {
        const more = { name: `${headers.name}v` };
        const error = await rejection(
          MessageTooLargeError,
          () => bus.publish(topic, 1, { headers: more }),
          String(maxHeaderBytes),
        );
        assert.deepEqual([error.limit, error.size], [maxHeaderBytes, maxHeaderBytes + 1]);
      }
      await t.after(
        () => bus.publish(topic, Uint8Array.of(1)),
        () => got.messages.length > 1,
      );
      assert.equal(got.messages.length, 2, 'nothing of what was refused came');
    },
  },
  {
    id: 'basics/compressed',
    name: 'compressed bodies arrive as they were, and small ones are left alone',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      for (const [compress, encoding] of [
        [true, 'gzip'],
        ['gzip', 'gzip'],
        ['brotli', 'br'],
        [{ algorithm: 'gzip', level: 9, threshold: 10 }, 'gzip'],
      ] as const) {
        const message = await arrival(t, got, () => bus.publish(topic, TEXT, { compress }));
        assert.equal(message.data, TEXT);
        assert.equal(message.contentEncoding, encoding);
        assert.equal(message.contentType, 'application/json');
        assert.equal(Buffer.from(message.body).toString(), JSON.stringify(TEXT));
      }
      const bytes = Buffer.alloc(10_000, 'ab');
      const binary = await arrival(t, got, () => bus.publish(topic, bytes, { compress: true }));
      assert.ok(bytes.equals(binary.data as Uint8Array), 'bytes');
      const small = await arrival(t, got, () => bus.publish(topic, 'small', { compress: true }));
      assert.deepEqual([small.data, small.contentEncoding], ['small', undefined]);
      const noise = await arrival(t, got, () => bus.publish(topic, randomBytes(5_000), { compress: true }));
      assert.equal(noise.contentEncoding, undefined, 'what does not shrink is sent as it is');
    },
  },
  {
    id: 'basics/compressed-by-default',
    name: 'a bus that compresses is read by one that does not, and a message may say otherwise',
    async run(t) {
      const sender = await t.bus({ compress: 'brotli' });
      const reader = await t.bus();
      const topic = t.topic();
      const got = await listen(t, reader, topic);
      const packed = await arrival(t, got, () => sender.publish(topic, TEXT));
      assert.deepEqual([packed.data, packed.contentEncoding], [TEXT, 'br']);
      const plain = await arrival(t, got, () => sender.publish(topic, TEXT, { compress: false }));
      assert.deepEqual([plain.data, plain.contentEncoding], [TEXT, undefined]);
    },
  },
  {
    id: 'basics/compression-lifts-the-limit',
    name: 'a body beyond the limit passes when it is within it once compressed',
    timeout: 60_000,
    async run(t) {
      const bus = await t.bus();
      const { maxBodyBytes } = bus.capabilities.limits;
      if (maxBodyBytes > LARGEST) return;
      const topic = t.topic();
      const got = await listen<Uint8Array>(t, bus, topic);
      const body = Buffer.alloc(maxBodyBytes + 1_000, 'ab');
      await rejection(MessageTooLargeError, () => bus.publish(topic, body));
      await bus.publish(topic, body, { compress: true });
      await t.until('it came', () => got.messages.length > 0, 30_000);
      assert.ok(body.equals(got.data[0]!), 'it is the same');
    },
  },
]);
