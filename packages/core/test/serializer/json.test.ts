import { inspect } from 'node:util';
import vm from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, SerializationError } from '../../src/errors.ts';
import { type JsonOptions, json } from '../../src/serializer/json.ts';

const CONTEXT = { topic: 'orders.created', headers: {} };

const write = (data: unknown, options?: JsonOptions): string =>
  Buffer.from(json(options).serialize(data, CONTEXT) as Uint8Array).toString();
const read = (text: string | Uint8Array, options?: JsonOptions): unknown =>
  json(options).deserialize(typeof text === 'string' ? Buffer.from(text) : text, CONTEXT);
const trip = (data: unknown, options?: JsonOptions): unknown => read(write(data, options), options);

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

class Money {
  readonly amount = 5;
  readonly currency = 'EUR';
  get text(): string {
    return '5 EUR';
  }
}

/** Like decimal.js and its relatives. */
class Decimal {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toFixed(): string {
    return this.text;
  }
  toJSON(): string {
    return this.text;
  }
}

describe('by default', () => {
  test('bytes are what JSON.stringify gives, in UTF-8', () => {
    const data = { id: 'ü€😀', n: [1, -2.5, 1e21, 1e-7], ok: true, no: null, deep: { a: {} }, '': [] };
    expect(write(data)).toBe(JSON.stringify(data));
    expect([...(json().serialize({ a: 'é' }, CONTEXT) as Uint8Array)]).toEqual([
      0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xc3, 0xa9, 0x22, 0x7d,
    ]);
  });

  test('the content type is application/json', () => {
    expect(json().contentType).toBe('application/json');
  });

  test('undefined is an empty body, and back', () => {
    expect(json().serialize(undefined, CONTEXT)).toHaveLength(0);
    expect(json().deserialize(new Uint8Array(0), CONTEXT)).toBeUndefined();
    expect(trip(null)).toBeNull();
  });

  test.each([
    ['undefined in an object', { a: undefined, b: 1 }, '{"b":1}'],
    ['undefined in an array', [undefined, 1], '[null,1]'],
    ['a hole', new Array(1), '[null]'],
    ['-0', -0, '0'],
    ['a date', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    [
      'a date of another realm',
      vm.runInNewContext('({ at: new Date(0) })'),
      '{"at":"1970-01-01T00:00:00.000Z"}',
    ],
    ['an object of a class', new Money(), '{"amount":5,"currency":"EUR"}'],
    ['an object with toJSON', { url: new URL('http://a.b/') }, '{"url":"http://a.b/"}'],
    ['toJSON that returns undefined', { a: { toJSON: () => undefined }, b: 1 }, '{"b":1}'],
    [
      'toJSON that returns its own object',
      {
        a: 1,
        toJSON() {
          return this;
        },
      },
      '{"a":1}',
    ],
    ['toJSON that returns a date', { a: { toJSON: () => new Date(0) } }, '{"a":"1970-01-01T00:00:00.000Z"}'],
    ['toJSON gets its key', { a: { toJSON: (key: string) => key } }, '{"a":"a"}'],
    ['a property with a symbol for a name', { [Symbol('s')]: 1, b: 1 }, '{"b":1}'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['a decimal object', { d: new Decimal('0.10') }, '{"d":"0.10"}'],
    ['a lone surrogate', '\ud800', '"\\ud800"'],
    ['an own __proto__', JSON.parse('{"__proto__":{"x":1}}'), '{"__proto__":{"x":1}}'],
    [
      '__proto__ on the careful way',
      [new Money(), JSON.parse('{"__proto__":1}')],
      '[{"amount":5,"currency":"EUR"},{"__proto__":1}]',
    ],
    ['what looks like a tag', { $date: 'x' }, '{"$date":"x"}'],
  ])('%s', (_name, data, expected) => {
    expect(write(data)).toBe(expected);
  });

  test.each([
    ['NaN', { a: [1, Number.NaN] }, 'payload.a[1] is NaN (option "nonFinite")'],
    ['Infinity', { a: Number.NEGATIVE_INFINITY }, 'payload.a is -Infinity (option "nonFinite")'],
    ['an invalid date', { at: new Date(Number.NaN) }, 'payload.at is an invalid Date'],
    ['a bigint', { a: { 'b c': 5n } }, 'payload.a["b c"] is a bigint (option "bigints")'],
    [
      'a bigint in an object of a class',
      new (class {
        a = 1n;
      })(),
      'payload.a is a bigint',
    ],
    ['a bigint from toJSON', { a: { toJSON: () => 5n } }, 'payload.a is a bigint'],
    ['a function', { f() {} }, 'payload.f is a function'],
    ['a function alone', () => {}, 'payload is a function'],
    ['a symbol', { s: Symbol('s') }, 'payload.s is a symbol'],
    ['a Map', { m: new Map([[1, 2]]) }, 'payload.m is a Map (option "collections")'],
    ['a Set', [new Set()], 'payload[0] is a Set (option "collections")'],
    ['a Uint8Array', { b: new Uint8Array(3) }, 'payload.b is binary (option "binary")'],
    ['a Buffer', { b: Buffer.from('x') }, 'payload.b is binary (option "binary")'],
    ['another typed array', { v: new Float32Array(2) }, 'payload.v is of type Float32Array'],
    ['an ArrayBuffer', { v: new ArrayBuffer(2) }, 'payload.v is of type ArrayBuffer'],
    ['an error', { e: new TypeError('no') }, 'payload.e is of type Error, which JSON cannot hold'],
    ['a regular expression', { r: /x/ }, 'payload.r is of type RegExp'],
    ['a promise', { p: Promise.resolve(1) }, 'payload.p is of type Promise'],
    ['a circle', circular(), 'payload.lines[0].order refers back to an object that holds it'],
    [
      'a circle through toJSON',
      { a: { toJSON: () => ({ b: circular() }) } },
      'payload.a.b.lines[0].order refers back',
    ],
  ])('%s is refused by its place', (_name, data, message) => {
    expect(refused(() => write(data)).message).toContain(message);
  });

  test('the same object twice is no circle', () => {
    const address = { city: 'Bonn' };
    expect(trip({ from: address, to: address, at: new Money() })).toMatchObject({
      from: address,
      to: address,
    });
  });

  test('what throws while it is written is a SerializationError with that as its cause', () => {
    const cause = new Error('locked');
    const error = refused(() =>
      write({
        get a() {
          throw cause;
        },
      }),
    );
    expect(error.cause).toBe(cause);
    expect(error.message).toBe('the payload cannot be written as JSON: Error: locked');
  });

  test('payloads nested deeper than the stack are refused, both ways', () => {
    let data: unknown = 1;
    for (let i = 0; i < 200_000; i++) data = [data];
    refused(() => write(data));
    expect(trip(JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`))).toHaveLength(1);
  });

  test.each([
    ['no JSON', '{"secret":"hunter2"', /^the body of 19 bytes is not JSON$/],
    ['white space', '  ', /not JSON/],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), /^the body is not UTF-8$/],
  ])('%s is refused without quoting the body', (_name, body, message) => {
    expect(refused(() => read(body)).message).toMatch(message);
  });

  test('a byte order mark is passed over, and any view of bytes is read', () => {
    expect(read('\ufeff{"a":1}')).toEqual({ a: 1 });
    const bytes = new Uint8Array([...Buffer.from('xx{"a":1}yy')]);
    expect(read(bytes.subarray(2, 9))).toEqual({ a: 1 });
  });

  test('results share no memory', () => {
    const serializer = json();
    const first = serializer.serialize({ a: 1 }, CONTEXT) as Uint8Array;
    const copy = Buffer.from(first);
    for (let i = 0; i < 1000; i++) void serializer.serialize({ b: i }, CONTEXT);
    expect(Buffer.compare(first, copy)).toBe(0);
  });

  test('every JSON value makes it through', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(write(value)).toBe(JSON.stringify(value));
        expect(trip(value)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('options', () => {
  test('without strict, payloads go to JSON.stringify unseen', () => {
    expect(write({ m: new Map(), n: Number.NaN }, { strict: false })).toBe('{"m":{},"n":null}');
    expect(write(undefined, { strict: false })).toBe('');
    refused(() => write(5n, { strict: false }));
    refused(() => write(circular(), { strict: false }));
  });

  test.each([
    [{ dates: 'date' }, 'json option "dates" must be "iso" or "exact", not "date"'],
    [{ bigint: 'exact' }, 'json option "bigint" does not exist; there are dates, bigints'],
    [{ strict: false, dates: 'exact' }, '"strict": false cannot be combined'],
    [{ strict: false, bigints: 'string' }, '"strict": false cannot be combined'],
    [{ decimal: String }, '"decimal" does nothing without "decimals": "exact"'],
    [7, 'json options must be an object, not 7'],
  ])('%j is refused', (options, message) => {
    try {
      json(options as JsonOptions);
      expect.unreachable();
    } catch (error) {
      expect(ConfigError.is(error)).toBe(true);
      expect((error as Error).message).toContain(message);
    }
  });

  test('wire forms', () => {
    expect(write(new Date(0), { dates: 'exact' })).toBe('{"$date":"1970-01-01T00:00:00.000Z"}');
    expect(write([5n, 2n ** 70n], { bigints: 'exact' })).toBe(
      '[{"$bigint":"5"},{"$bigint":"1180591620717411303424"}]',
    );
    expect(write([5n, 2n ** 70n], { bigints: 'string' })).toBe('["5","1180591620717411303424"]');
    expect(write([5n, 2n ** 70n], { bigints: 'number' })).toBe('[5,1180591620717411303424]');
    expect(write(Uint8Array.of(1, 2, 255), { binary: 'exact' })).toBe('{"$binary":"AQL/"}');
    expect(write(Buffer.from([1, 2, 255]), { binary: 'base64' })).toBe('"AQL/"');
    expect(write(new Map([[1, new Set(['a'])]]), { collections: 'exact' })).toBe(
      '{"$map":[[1,{"$set":["a"]}]]}',
    );
    expect(write(new Decimal('0.10'), { decimals: 'exact' })).toBe('{"$decimal":"0.10"}');
    expect(write([Number.NaN, 1 / 0], { nonFinite: 'null' })).toBe('[null,null]');
    expect(write({ $date: 1, $x: 1 }, { dates: 'exact' })).toBe('{"$date":1,"$x":1}');
    expect(write([{ $date: 1 }, { $$set: 1 }, { $ref: 1 }], { dates: 'exact' })).toBe(
      '[{"$$date":1},{"$$$set":1},{"$ref":1}]',
    );
  });

  test('exact forms arrive as what they were, with the values in them', () => {
    const options: JsonOptions = { dates: 'exact', bigints: 'exact', binary: 'exact', collections: 'exact' };
    const data = {
      at: new Date('2026-01-31T12:00:00.123Z'),
      far: new Date(-62198755200000),
      id: -(2n ** 64n),
      bytes: new Uint8Array([0, 128, 255]),
      map: new Map<unknown, unknown>([
        [new Date(5), [1n]],
        ['k', new Map()],
        [{ a: 1 }, new Set([null])],
      ]),
    };
    const back = trip(data, options) as typeof data;
    expect(back).toStrictEqual(data);
    expect(Buffer.isBuffer(back.bytes)).toBe(false);
    expect(trip(Buffer.from([1, 2]), options)).toStrictEqual(Uint8Array.of(1, 2));
  });

  test('a circle through a Map is refused', () => {
    const map = new Map<string, unknown>();
    map.set('self', [map]);
    expect(refused(() => write(map, { collections: 'exact' })).message).toContain(
      'payload.self[0] refers back',
    );
  });

  test('any exact option makes a reader understand every tag', () => {
    expect(read('{"a":{"$bigint":"5"},"b":{"$set":[1]}}', { dates: 'exact' })).toEqual({
      a: 5n,
      b: new Set([1]),
    });
    expect(read('{"a":{"$bigint":"5"}}')).toEqual({ a: { $bigint: '5' } });
  });

  test.each([
    '{"$date":5}',
    '{"$date":"yesterday"}',
    '{"$date":"2026"}',
    '{"$bigint":"5.5"}',
    '{"$bigint":5}',
    '{"$binary":"*"}',
    '{"$map":[1]}',
    '{"$map":"x"}',
    '{"$set":{}}',
    '{"$date":[]}',
    '{"$unknown":"x"}',
    '{"$date":"1970-01-01T00:00:00.000Z","b":1}',
    '{"$decimal":1}',
    '{"$__proto__":1}',
  ])("somebody else's %s stays", (text) => {
    expect(read(text, { dates: 'exact' })).toEqual(JSON.parse(text));
  });

  describe('decimals', () => {
    test.each([
      ['9007199254740991', 9007199254740991, 9007199254740991],
      ['9007199254740992', '9007199254740992', 9007199254740992n],
      ['-9007199254740993', '-9007199254740993', -9007199254740993n],
      ['12345678901234567890123', '12345678901234567890123', 12345678901234567890123n],
      ['0.1', 0.1, 0.1],
      ['1.10', 1.1, 1.1],
      ['1.000000000000000000000', 1, 1],
      ['100e-2', 1, 1],
      ['0.30000000000000004', 0.30000000000000004, 0.30000000000000004],
      ['0.3000000000000000444', '0.3000000000000000444', '0.3000000000000000444'],
      ['-1234567890.12345678901', '-1234567890.12345678901', '-1234567890.12345678901'],
      ['1e21', 1e21, 1e21],
      ['1E+2', 100, 100],
      ['1e400', '1e400', '1e400'],
      ['1e-400', '1e-400', '1e-400'],
      ['0e5', 0, 0],
      ['-0', -0, -0],
      ['-0.00000000000000000', -0, -0],
      ['5e-324', 5e-324, 5e-324],
      ['5.00000000000000000001', '5.00000000000000000001', '5.00000000000000000001'],
    ])('%s', (text, string, exact) => {
      expect(read(text)).toBe(Number(text));
      expect(read(text, { decimals: 'string' })).toBe(string);
      expect(read(`{"a":[${text}]}`, { decimals: 'exact' })).toEqual({ a: [exact] });
    });

    test('a factory makes objects of the rest', () => {
      const decimal = (text: string): Decimal => new Decimal(text);
      const options: JsonOptions = { decimals: 'exact', decimal };
      expect(read('[1.5,0.12345678901234567890,9007199254740993]', options)).toEqual([
        1.5,
        new Decimal('0.12345678901234567890'),
        9007199254740993n,
      ]);
      expect(trip({ price: new Decimal('0.10') }, options)).toEqual({ price: new Decimal('0.10') });
      expect(trip({ price: new Decimal('0.10') }, { decimals: 'exact' })).toEqual({ price: '0.10' });
    });

    test('what the factory throws is a SerializationError', () => {
      const decimal = (): never => {
        throw new RangeError('too precise');
      };
      expect(refused(() => read('0.12345678901234567890', { decimals: 'exact', decimal })).message).toContain(
        'too precise',
      );
    });

    test('every double makes it through', () => {
      const finite = fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .filter((value) => !Object.is(value, -0));
      for (const decimals of ['number', 'string', 'exact'] as const) {
        fc.assert(
          fc.property(
            fc.oneof(
              finite,
              fc.integer().map((n) => n * 2 ** 40),
            ),
            (n) => Object.is(trip(n, { decimals }), n === 0 ? 0 : n),
          ),
        );
      }
    });

    test('every bigint written as a number keeps its value', () => {
      fc.assert(
        fc.property(
          fc.bigInt(),
          (n) => BigInt(trip(n, { decimals: 'exact', bigints: 'number' }) as bigint) === n,
        ),
      );
    });

    test('digits in strings are no numbers', () => {
      const text = '{"a":"12345678901234567890","1234567890123456789":"1e5"}';
      expect(read(text, { decimals: 'exact' })).toEqual(JSON.parse(text));
    });
  });

  test('with everything exact, every payload makes it through, also one that looks like a tag', () => {
    const options: JsonOptions = {
      dates: 'exact',
      bigints: 'exact',
      decimals: 'exact',
      binary: 'exact',
      collections: 'exact',
    };
    const key = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '$date',
        '$$date',
        '$$$bigint',
        '$bigint',
        '$map',
        '$set',
        '$binary',
        '$decimal',
        '$',
        '__proto__',
        'toString',
      ),
    );
    const { payload } = fc.letrec((tie) => ({
      payload: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.oneof(
          fc.string(),
          fc.boolean(),
          fc.constant(null),
          fc.bigInt(),
          fc.integer(),
          fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n)),
          fc.date({ noInvalidDate: true }),
          fc.uint8Array(),
          fc.constant('1970-01-01T00:00:00.000Z'),
        ),
        fc.array(tie('payload'), { maxLength: 4 }),
        fc
          .array(fc.tuple(key, tie('payload')), { maxLength: 3 })
          .map((entries) => Object.fromEntries(entries)),
        fc
          .array(fc.tuple(tie('payload'), tie('payload')), { maxLength: 3 })
          .map((entries) => new Map(entries as [unknown, unknown][])),
        fc.array(tie('payload'), { maxLength: 3 }).map((values) => new Set(values)),
      ),
    }));
    fc.assert(
      fc.property(payload, (value) => {
        expect(trip(value, options)).toStrictEqual(value);
      }),
      { numRuns: 500 },
    );
  });
});
