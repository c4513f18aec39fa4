import { createRequire } from 'node:module';
import { inspect, isDeepStrictEqual } from 'node:util';
import vm from 'node:vm';
import fc from 'fast-check';
import * as msgpackr from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { ConfigError, SerializationError } from '../../src/errors.ts';
import { type MsgpackOptions, type Msgpackr, msgpack } from '../../src/serializer/msgpack.ts';

const CONTEXT = { topic: 'orders.created', headers: {} };

const write = (data: unknown, options?: MsgpackOptions): Buffer =>
  Buffer.from(msgpack(options).serialize(data, CONTEXT) as Uint8Array);
const read = (bytes: Uint8Array | string, options?: MsgpackOptions): unknown =>
  msgpack(options).deserialize(typeof bytes === 'string' ? hex(bytes) : bytes, CONTEXT);
const trip = (data: unknown, options?: MsgpackOptions): unknown => read(write(data, options), options);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const refused = (action: () => unknown): SerializationError => {
  try {
    action();
  } catch (error) {
    expect(SerializationError.is(error), inspect(error)).toBe(true);
    expect((error as SerializationError).topic).toBe('orders.created');
    return error as SerializationError;
  }
  throw new Error('was not refused');
};

const circular = (): object => {
  const order: Record<string, unknown> = { lines: [{}] };
  (order.lines as Record<string, unknown>[])[0]!.order = order;
  return order;
};

describe('wire format', () => {
  test.each([
    [null, 'c0'],
    [true, 'c3'],
    [false, 'c2'],
    [0, '00'],
    [127, '7f'],
    [128, 'cc 80'],
    [65536, 'ce 00010000'],
    [-1, 'ff'],
    [-33, 'd0 df'],
    [-40000, 'd2 ffff63c0'],
    [1.5, 'cb 3ff8000000000000'],
    [2 ** 40, 'cb 4270000000000000'],
    [Number.POSITIVE_INFINITY, 'cb 7ff0000000000000'],
    [5n, 'd3 0000000000000005'],
    [2n ** 63n, 'cf 8000000000000000'],
    ['é', 'a2 c3a9'],
    ['x'.repeat(32), `d9 20 ${'78'.repeat(32)}`],
    [[], '90'],
    [[1, [2]], '92 01 91 02'],
    [{}, '80'],
    [{ a: 1, b: undefined, c: [undefined] }, '82 a161 01 a163 91 c0'],
    [new Map([[1, 'a']]), '81 01 a161'],
    [Uint8Array.of(1, 2), 'c4 02 0102'],
    [Buffer.from([1, 2]), 'c4 02 0102'],
    [new Date(1_000_000_000_000), 'd6 ff 3b9aca00'],
    [new Date(1_000_000_000_500), 'd7 ff 773594003b9aca00'],
    [new Date(-1), 'c7 0c ff 3b8b87c0 ffffffffffffffff'],
  ])('%o', (data, expected) => {
    expect(write(data).toString('hex')).toBe(expected.replaceAll(' ', ''));
  });

  test('a default instance of msgpackr reads it', () => {
    const data = {
      id: 'a',
      n: [1, -2.5, 2 ** 40],
      at: new Date(1234),
      raw: Buffer.from('x'),
      big: 2n ** 60n,
      deep: { a: null },
    };
    const bytes = write(data);
    expect(msgpackr.unpack(bytes)).toEqual(data);
    const { deep, ...rest } = data;
    expect(new msgpackr.Unpackr().unpack(bytes)).toEqual(
      new Map(Object.entries({ ...rest, deep: new Map(Object.entries(deep)) })),
    );
  });

  test('what msgpackr itself writes is read, records and all', () => {
    const data = [
      { id: 'a', n: 1 },
      { id: 'b', n: 2 },
      { id: 'c', s: new Set([1]) },
    ];
    expect(read(msgpackr.pack(data.slice(0, 2)))).toEqual(data.slice(0, 2));
    expect(read(new msgpackr.Packr().pack(data.slice(0, 2)))).toEqual(data.slice(0, 2));
    expect(read(new msgpackr.Packr({ moreTypes: true }).pack(data))).toEqual(data);
    expect(
      read(new msgpackr.Packr({ bundleStrings: true, useRecords: false }).pack(data.slice(0, 2))),
    ).toEqual(data.slice(0, 2));
  });

  test('the content type is application/msgpack', () => {
    expect(msgpack().contentType).toBe('application/msgpack');
  });
});

test('undefined is an empty body, and back', () => {
  expect(msgpack().serialize(undefined, CONTEXT)).toHaveLength(0);
  expect(read(new Uint8Array(0))).toBeUndefined();
  expect(trip(null)).toBeNull();
});

test.each([
  ['NaN', Number.NaN, Number.NaN],
  [
    'infinity',
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ],
  ['-0', -0, 0],
  ['a number of more than 32 bits', Date.UTC(2026, 0), Date.UTC(2026, 0)],
  ['the largest integers', [2 ** 53, -(2 ** 53), 1e300], [2 ** 53, -(2 ** 53), 1e300]],
  ['bigints of 64 bits', [0n, -(2n ** 63n), 2n ** 64n - 1n], [0n, -(2n ** 63n), 2n ** 64n - 1n]],
  ['dates', [new Date(-62198755200000), new Date(8.64e15)], [new Date(-62198755200000), new Date(8.64e15)]],
  [
    'a Map with other keys',
    new Map<unknown, unknown>([
      [1, { a: new Map([[null, 1]]) }],
      ['b', 2],
    ]),
    new Map<unknown, unknown>([
      [1, { a: new Map([[null, 1]]) }],
      ['b', 2],
    ]),
  ],
  ['a Map of string keys', { m: new Map([['a', 1]]) }, { m: { a: 1 } }],
  [
    'an own __proto__',
    JSON.parse('{"__proto__":{"x":1},"y":{"__proto__":2}}'),
    JSON.parse('{"__proto__":{"x":1},"y":{"__proto__":2}}'),
  ],
  [
    'an object of another realm',
    vm.runInNewContext('({ a: [new Date(5), new Map([[1, 2]])] })'),
    { a: [new Date(5), new Map([[1, 2]])] },
  ],
  [
    'an object without a prototype',
    Object.assign(Object.create(null), { toJSON: 'x', constructor: 'y' }),
    { toJSON: 'x', constructor: 'y' },
  ],
  [
    'toJSON',
    {
      u: new URL('http://a.b/'),
      own: {
        a: 1,
        toJSON() {
          return this;
        },
      },
    },
    { u: 'http://a.b/', own: { a: 1 } },
  ],
  ['a hole', new Array(1), [null]],
  ['undefined in a Map', new Map([[1, undefined]]), new Map([[1, null]])],
  [
    'more properties than 16 bits count',
    Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
    Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i])),
  ],
])('%s', (_name, data, expected) => {
  expect(trip(data)).toStrictEqual(expected);
});

test.each([
  ['a larger bigint', { a: [2n ** 64n] }, 'payload.a[0] is a bigint of more than 64 bits'],
  ['an invalid date', { at: new Date(Number.NaN) }, 'payload.at is an invalid Date'],
  ['a function', { f() {} }, 'payload.f is a function'],
  ['a symbol', [Symbol('s')], 'payload[0] is a symbol'],
  ['a Set', { s: new Set([1]) }, 'payload.s is of type Set, which MessagePack cannot hold'],
  ['another typed array', { v: new Float32Array([1.5]) }, 'payload.v is of type Float32Array'],
  ['an ArrayBuffer', { v: new ArrayBuffer(2) }, 'payload.v is of type ArrayBuffer'],
  ['an error', { e: new Error('no') }, 'payload.e is of type Error'],
  ['a regular expression', { r: /x/ }, 'payload.r is of type RegExp'],
  ['a lone surrogate', { s: ['\ud800'] }, 'payload.s[0] has a lone surrogate'],
  ['a lone surrogate in a name', { '\udfff': 1 }, 'payload has a lone surrogate'],
  ['a bad value in a Map', new Map([[{ k: 1 }, 2n ** 65n]]), 'payload[an object] is a bigint'],
  ['a circle', circular(), 'payload.lines[0].order refers back to an object that holds it'],
])('%s is refused by its place', (_name, data, message) => {
  expect(refused(() => write(data)).message).toContain(message);
});

describe('binary', () => {
  test('arrives as a Uint8Array that is no view of the body', () => {
    const body = write({ raw: Uint8Array.of(1, 2, 3), text: 'a long enough string to be worth looking at' });
    const { raw } = read(body) as { raw: Uint8Array };
    body.fill(0);
    expect(raw).toStrictEqual(Uint8Array.of(1, 2, 3));
    expect(Buffer.isBuffer(raw)).toBe(false);
  });

  test.each([0, 255, 256, 65_535, 65_536])('of %i bytes', (size) => {
    const raw = new Uint8Array(size).map((_, i) => i);
    expect(Buffer.compare(trip(raw) as Uint8Array, raw)).toBe(0);
  });

  test('the body gets no mark from msgpackr', () => {
    const body = write({ a: 1 });
    read(body);
    expect(Object.keys(body)).toEqual(Object.keys(Buffer.from(body)));
    expect('dataView' in body).toBe(false);
  });

  test('any view of bytes is read', () => {
    const bytes = new Uint8Array([0xff, ...write({ a: ['b'] }), 0xff]);
    expect(read(bytes.subarray(1, -1))).toEqual({ a: ['b'] });
  });
});

describe('results share no memory', () => {
  test('with results that were packed before or after', () => {
    const serializer = msgpack();
    const packed = Array.from({ length: 2000 }, (_, i) =>
      serializer.serialize({ i, pad: 'x'.repeat(i % 300) }, CONTEXT),
    );
    expect(packed.every((bytes, i) => (read(bytes as Uint8Array) as { i: number }).i === i)).toBe(true);
  });

  test('with msgpackr, whose working buffer somebody else may set', () => {
    const packr = new msgpackr.Packr({ useRecords: false });
    const first = msgpack({ msgpackr: msgpackr as unknown as Msgpackr }).serialize(
      { a: 'first' },
      CONTEXT,
    ) as Uint8Array;
    packr.pack({ a: 'other' }, msgpackr.RESET_BUFFER_MODE);
    packr.pack({ a: 'third' });
    expect(read(first)).toEqual({ a: 'first' });
  });

  test('and keep no large buffer alive', () => {
    const serializer = msgpack();
    void serializer.serialize('x'.repeat(5_000_000), CONTEXT);
    const small = serializer.serialize([1], CONTEXT) as Uint8Array;
    expect(small.buffer.byteLength).toBeLessThan(100_000);
  });
});

describe('options', () => {
  test('int64', () => {
    const bytes = write([5n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 60n)]);
    expect(read(bytes)).toEqual([5n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 60n)]);
    expect(read(bytes, { int64: 'auto' })).toEqual([5, 2 ** 53, 2n ** 53n + 1n, -(2n ** 60n)]);
    expect(read(bytes, { int64: 'string' })).toEqual([
      '5',
      '9007199254740992',
      '9007199254740993',
      '-1152921504606846976',
    ]);
  });

  test('dates', () => {
    const at = new Date(1234);
    expect(trip({ at }, { dates: 'iso' })).toEqual({ at: at.toISOString() });
    expect(read(write({ at }), { dates: 'iso' })).toEqual({ at });
  });

  test('maps', () => {
    const data = {
      a: [{ b: 1 }],
      m: new Map<unknown, unknown>([
        [1, 'x'],
        [true, { c: new Map([[2n, 0]]) }],
      ]),
    };
    const bytes = write(data);
    expect(read(bytes)).toStrictEqual(data);
    expect(read(bytes, { maps: 'object' })).toStrictEqual({
      a: [{ b: 1 }],
      m: { 1: 'x', true: { c: { 2: 0 } } },
    });
    expect(read(bytes, { maps: 'map' })).toStrictEqual(
      new Map<string, unknown>([
        ['a', [new Map([['b', 1]])]],
        [
          'm',
          new Map<unknown, unknown>([
            [1, 'x'],
            [true, new Map([['c', new Map([[2n, 0]])]])],
          ]),
        ],
      ]),
    );
    expect(refused(() => read('81 90 01', { maps: 'object' })).message).toContain('(option "maps")');
  });

  test.each([
    [{ maps: 'records' }, 'msgpack option "maps" must be "auto" or "map" or "object", not "records"'],
    [{ useRecords: true }, 'msgpack option "useRecords" does not exist'],
    [{ msgpackr: {} }, 'the msgpackr package (with Packr)'],
  ])('%j is refused', (options, message) => {
    try {
      msgpack(options as MsgpackOptions);
      expect.unreachable();
    } catch (error) {
      expect(ConfigError.is(error)).toBe(true);
      expect((error as Error).message).toContain(message);
    }
  });

  test('a missing msgpackr says what to install', () => {
    const Module = createRequire(import.meta.url)('node:module') as {
      _load: (...args: unknown[]) => unknown;
    };
    const original = Module._load;
    Module._load = (name, ...rest) =>
      original.call(Module, name === 'msgpackr' ? 'no-such-package' : name, ...rest);
    try {
      expect(() => msgpack()).toThrow(
        /needs the package msgpackr \(npm install msgpackr\): Cannot find module/,
      );
    } finally {
      Module._load = original;
    }
  });
});

describe('what is not one value is refused', () => {
  test.each([
    ['cut off in a string', 'a5 6162', /cut off after 3 bytes/],
    ['cut off in an array', '92 01', /cut off after 2 bytes/],
    ['cut off in a length', 'dd 00', /cut off after 2 bytes/],
    ['cut off in an integer', 'cf 00', /cut off after 2 bytes/],
    ['a map that claims four billion entries', 'df ffffffff 01', /cut off after 6 bytes/],
    ['binary that claims four gigabytes', 'c6 ffffffff 01', /cut off after 6 bytes/],
    ['more than one value', '01 02', /ends at byte 1 of a body of 2/],
    ['the byte that is never used', '91 c1', /byte 0xc1 at 1 is not MessagePack/],
    ['an unknown extension', 'd4 05 00', /Unknown extension 5/],
    ['an unknown longer extension', 'c7 03 05 000000', /Unknown extension type 5/],
    ['text', Buffer.from('{"secret":"hunter2"}').toString('hex'), /ends at byte 1 of a body of 20/],
  ])('%s', (_name, bytes, message) => {
    expect(refused(() => read(bytes)).message).toMatch(message);
  });

  test('nesting deeper than the stack', () => {
    refused(() => read(Buffer.alloc(1_000_000, 0x91)));
  });

  test('no bytes at all end in another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        try {
          read(bytes);
        } catch (error) {
          return SerializationError.is(error);
        }
        return true;
      }),
      { numRuns: 2000 },
    );
  });

  test('every body cut off anywhere', () => {
    const body = write({
      a: [1, 'text', 2.5, new Date(1), Buffer.from('x'), 5n],
      m: new Map([[1, { b: null }]]),
    });
    for (let length = 1; length < body.length; length++) refused(() => read(body.subarray(0, length)));
  });
});

describe('every payload makes it through', () => {
  const leaf = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.boolean(),
    fc.constant(null),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.integer(),
    fc.double().map((n) => (n === 0 ? 0 : n)),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
  );
  const key = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('__proto__', '__proto_x', 'constructor', 'hasOwnProperty', 'toJSON', 'length'),
  );
  const { payload } = fc.letrec((tie) => ({
    payload: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.array(tie('payload'), { maxLength: 20 }),
      fc
        .array(fc.tuple(key, tie('payload')), { maxLength: 20 })
        .map((entries) => Object.fromEntries(entries)),
      fc
        .array(fc.tuple(fc.oneof(fc.integer(), tie('payload')), tie('payload')), { maxLength: 4 })
        .map(
          (entries) => new Map<unknown, unknown>([...entries, [-7, 'not a string']] as [unknown, unknown][]),
        ),
    ),
  }));

  test('unchanged', () => {
    const serializer = msgpack();
    fc.assert(
      fc.property(payload, (value) => {
        const body = serializer.serialize(value, CONTEXT) as Uint8Array;
        return isDeepStrictEqual(serializer.deserialize(body, CONTEXT), value);
      }),
      { numRuns: 500 },
    );
  });
});
