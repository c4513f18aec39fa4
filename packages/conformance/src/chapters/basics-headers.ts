import assert from 'node:assert/strict';
import { type Bus, BusError, type Headers, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';

const ASCII = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));

const ODD_STRINGS: readonly string[] = [
  '"quoted"',
  "it's",
  '\\back\\slash',
  '/a/b',
  'a:b',
  'a=b&c=d;e,f',
  ' leading and trailing ',
  'tab\tnew\nline\r\n',
  'nul\0inside',
  '%41%00%zz',
  'ümläut',
  'Σίσυφος',
  '日本語',
  '👩‍👩‍👧',
  '\u202eright to left',
  '\ufeffbom',
  'e\u0301',
  '{"json":true}',
  '<xml/>',
  '$1 $&',
  '__proto__',
  'constructor',
  'toString',
  '0',
  'a.b.c',
  '-',
];

/** What a broker or its protocol may use itself, and the application may use as well. */
const RESERVED_LOOKING: readonly string[] = [
  'id',
  'key',
  'type',
  'time',
  'topic',
  'headers',
  'content-type',
  'Content-Type',
  'contentType',
  'ce_id',
  'ce-id',
  'ce_type',
  'ce-source',
  'cloudEvents:id',
  'cloudEvents_id',
  'ce_time',
  'traceparent',
  'priority',
  'attempt',
  'retry',
  'Nats-Msg-Id',
  'Nats-Schedule',
  'x-death',
  'MessageGroupId',
  'AWS.SNS',
  'Label',
  'CorrelationId',
  'ambus',
  'ambus-id',
];

/** An object with exactly these own properties, `__proto__` included. */
const headersOf = (entries: readonly (readonly [string, string])[]): Headers => Object.fromEntries(entries);

/**
 * Publishes one message for each set of headers, and holds that each arrived byte for byte or was refused with an error of
 * the bus. Returns how many arrived.
 */
async function survives(
  t: CaseContext,
  bus: Bus,
  all: readonly Headers[],
  topic: string = t.topic(),
): Promise<number> {
  const got = await listen<number>(t, bus, topic, { concurrency: 10 });
  const sent = await Promise.all(
    all.map(async (headers, n) => {
      try {
        await bus.publish(topic, n, { headers });
        return true;
      } catch (error) {
        assert.ok(BusError.is(error), `not one of the bus's errors: ${String(error)}`);
        assert.ok(!error.retryable, `a refusal is final: ${error.message}`);
        return false;
      }
    }),
  );
  const accepted = sent.filter(Boolean).length;
  await t.until('all that were accepted came', () => new Set(got.data).size >= accepted);
  for (const { data, headers, type } of got.messages) {
    assert.ok(sent[data], `${JSON.stringify(all[data])} was refused and came all the same`);
    const sorted = (given: Headers): unknown =>
      Object.entries(given).toSorted(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(sorted(headers), sorted(all[data]!));
    assert.equal(type, topic, `${JSON.stringify(all[data])} changed the metadata`);
  }
  return accepted;
}

/** The application's own headers. */
export const basicsHeaders: readonly Case[] = chapter('basics', [
  {
    id: 'basics/header-values',
    name: 'header values survive byte for byte, or are refused: all of ASCII, quotes, slashes, unicode',
    async run(t) {
      const bus = await t.bus();
      const values = [...ASCII, ...ODD_STRINGS, ASCII.join(''), '', 'x'.repeat(4_000)];
      const plain = await survives(t, bus, [{ plain: 'value' }, { empty: '' }]);
      assert.equal(plain, 2);
      const odd = values.map((value) => ({ name: value }));
      await survives(t, bus, odd, t.topic('odd'));
    },
  },
  {
    id: 'basics/header-names',
    name: 'header names survive byte for byte, or are refused: all of ASCII, quotes, slashes, unicode',
    async run(t) {
      const bus = await t.bus();
      const names = [...ASCII, ...ODD_STRINGS];
      await survives(
        t,
        bus,
        names.map((name) => headersOf([[name, 'value']])),
      );
    },
  },
  {
    id: 'basics/header-case',
    name: 'header names that differ in case only are different headers, or are refused',
    async run(t) {
      const bus = await t.bus();
      await survives(t, bus, [{ tenant: '1', Tenant: '2', TENANT: '3' }]);
    },
  },
  {
    id: 'basics/header-names-of-others',
    name: "headers named like the protocol's own stay the application's and change no metadata",
    async run(t) {
      const bus = await t.bus();
      await survives(t, bus, [
        ...RESERVED_LOOKING.map((name) => headersOf([[name, 'mine']])),
        headersOf(RESERVED_LOOKING.filter((name) => !name.startsWith('Nats-')).map((name) => [name, 'mine'])),
      ]);
    },
  },
  {
    id: 'basics/many-headers',
    name: '50 headers arrive with one message',
    async run(t) {
      const bus = await t.bus();
      const headers = headersOf(Array.from({ length: 50 }, (_, n) => [`name-${n}`, `value ${n}`]));
      assert.equal(await survives(t, bus, [headers]), 1);
    },
  },
  {
    id: 'basics/headers-are-frozen',
    name: "a handler cannot change a message's headers",
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      await bus.publish(topic, 1, { headers: { a: 'b' } });
      await bus.publish(topic, 2);
      await t.until('both came', () => got.messages.length >= 2);
      for (const { headers } of got.messages) {
        assert.throws(() => {
          (headers as Record<string, string>).a = 'changed';
        }, TypeError);
      }
    },
  },
  {
    id: 'basics/bad-headers',
    name: 'headers that are no headers are refused by name and value, and nothing is sent',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const bad: readonly (readonly [unknown, string])[] = [
        [{ n: 1 }, '"n" is 1'],
        [{ n: undefined }, '"n" is undefined'],
        [{ n: null }, '"n" is null'],
        [{ n: ['a'] }, '"n" is an array'],
        [{ '': 'a' }, 'empty names'],
        [{ n: '\ud800' }, '"n" has a lone surrogate'],
        [{ '\udc00': 'a' }, 'lone surrogate'],
        ['text', '"text"'],
        [['a'], 'an array'],
        [7, '7'],
      ];
      for (const [headers, part] of bad) {
        const options = { headers: headers as Headers };
        await rejection(ValidationError, () => bus.publish(topic, 'bad', options), '"headers"', part);
      }
      await t.after(
        () => bus.publish(topic, 'good'),
        () => got.data.includes('good'),
      );
      assert.deepEqual(got.data, ['good']);
    },
  },
]);
