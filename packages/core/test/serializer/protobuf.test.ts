import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, SerializationError } from '../../src/errors.ts';
import { type ProtobufOptions, protobuf } from '../../src/serializer/protobuf.ts';
import type { Serializer } from '../../src/serializer/serializer.ts';

const FILES = {
  'shop/order.proto': `
    syntax = "proto3";
    package shop;
    import "common/money.proto";
    import "google/protobuf/timestamp.proto";
    enum Status { NEW = 0; PAID = 1; SENT = 5; }
    message Item { string sku = 1; uint32 count = 2; }
    message OrderCreated {
      string order_id = 1;
      common.Money total = 2;
      repeated Item items = 3;
      Status status = 4;
      map<string, int64> counters = 5;
      bytes raw = 6;
      oneof payer { string person = 7; int32 company = 8; }
      optional int32 priority = 9;
      google.protobuf.Timestamp at = 10;
      OrderCreated previous = 11;
    }
    message OrderCancelled { string reason = 1; }`,
  'common/money.proto': `
    syntax = "proto3";
    package common;
    message Money { int64 cents = 1; string currency = 2; }`,
  'numbers.proto': `
    syntax = "proto3";
    package n;
    enum E { ZERO = 0; ONE = 1; }
    message Numbers {
      int32 a_int32 = 1; sint32 a_sint32 = 2; uint32 a_uint32 = 3; fixed32 a_fixed32 = 4; sfixed32 a_sfixed32 = 5;
      int64 a_int64 = 6; sint64 a_sint64 = 7; uint64 a_uint64 = 8; fixed64 a_fixed64 = 9; sfixed64 a_sfixed64 = 10;
      float a_float = 11; double a_double = 12; bool a_bool = 13; E an_enum = 14; bytes a_bytes = 15; string a_string = 16;
      repeated int64 longs = 17; repeated E enums = 18;
    }
    message Maps {
      map<int64, string> by_int64 = 1; map<uint64, string> by_uint64 = 2; map<int32, bytes> by_int32 = 3;
      map<bool, int32> by_bool = 4; map<string, Maps> by_string = 5;
    }`,
  'old.proto': `
    syntax = "proto2";
    message Old { required string name = 1; optional int32 size = 2 [default = 7]; }`,
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambus-proto-'));
  for (const [name, text] of Object.entries(FILES)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), text);
  }
});

afterAll(() => rm(folder, { recursive: true }));

const make = (options: Partial<ProtobufOptions> = {}): Promise<Serializer> =>
  protobuf({ protoPath: folder, defaultType: 'shop.OrderCreated', ...options });

const context = (topic: string) => ({ topic, headers: {} });
const write = (serializer: Serializer, data: unknown, topic = 'x'): Buffer =>
  Buffer.from(serializer.serialize(data, context(topic)) as Uint8Array);
const read = (serializer: Serializer, bytes: Uint8Array | string, topic = 'x'): unknown =>
  serializer.deserialize(
    typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes,
    context(topic),
  );
const trip = (serializer: Serializer, data: unknown, topic = 'x'): unknown =>
  read(serializer, write(serializer, data, topic), topic);

const refused = (action: () => unknown, topic = 'x'): SerializationError => {
  try {
    action();
  } catch (error) {
    expect(SerializationError.is(error), inspect(error)).toBe(true);
    expect((error as SerializationError).topic).toBe(topic);
    return error as SerializationError;
  }
  throw new Error('was not refused');
};

const EMPTY_ORDER = { orderId: '', items: [], status: 0, counters: {}, raw: new Uint8Array(0) };

describe('wire format', () => {
  test.each([
    [{}, ''],
    [{ orderId: 'A1' }, '0a 02 4131'],
    [{ total: { cents: 150n, currency: 'EUR' } }, '12 08 08 9601 12 03 455552'],
    [{ items: [{ sku: 'a', count: 1 }, {}] }, '1a 05 0a0161 1001 1a 00'],
    [{ status: 'SENT' }, '20 05'],
    [{ status: 5 }, '20 05'],
    [{ counters: { a: -1n } }, '2a 0e 0a 01 61 10 ffffffffffffffffff01'],
    [{ raw: Uint8Array.of(0, 255) }, '32 02 00ff'],
    [{ company: 0 }, '40 00'],
    [{ priority: 0 }, '48 00'],
    [{ orderId: undefined, total: null }, ''],
  ])('%o', async (data, expected) => {
    expect(write(await make(), data).toString('hex')).toBe(expected.replaceAll(' ', ''));
  });

  test('the content type is application/protobuf', async () => {
    expect((await make()).contentType).toBe('application/protobuf');
  });

  test('fields of a newer version of the type are passed over', async () => {
    expect(read(await make(), '0a0141 f80301')).toEqual({ ...EMPTY_ORDER, orderId: 'A' });
  });

  test('any view of bytes is read', async () => {
    const bytes = Uint8Array.of(9, 0x0a, 1, 0x41, 9);
    expect(read(await make(), bytes.subarray(1, 4))).toEqual({ ...EMPTY_ORDER, orderId: 'A' });
  });
});

describe('values', () => {
  test('a whole message makes it through', async () => {
    const order = {
      orderId: 'A1',
      total: { cents: 2n ** 62n + 1n, currency: 'EUR' },
      items: [{ sku: 'a', count: 4294967295 }],
      status: 1,
      counters: { a: -(2n ** 63n), __proto__x: 0n },
      raw: Uint8Array.of(1, 2, 3),
      person: 'Ada',
      priority: 0,
      at: { seconds: -5n, nanos: 999 },
      previous: { ...EMPTY_ORDER, orderId: 'A0' },
    };
    expect(trip(await make(), order)).toStrictEqual(order);
  });

  test('what did not arrive has its default, or is absent', async () => {
    const serializer = await make({ types: { n: 'n.Numbers', old: 'Old' } });
    expect(read(serializer, '')).toStrictEqual(EMPTY_ORDER);
    expect(read(serializer, '', 'n')).toStrictEqual({
      aInt32: 0,
      aSint32: 0,
      aUint32: 0,
      aFixed32: 0,
      aSfixed32: 0,
      aInt64: 0n,
      aSint64: 0n,
      aUint64: 0n,
      aFixed64: 0n,
      aSfixed64: 0n,
      aFloat: 0,
      aDouble: 0,
      aBool: false,
      anEnum: 0,
      aBytes: new Uint8Array(0),
      aString: '',
      longs: [],
      enums: [],
    });
    expect(read(serializer, '0a0141', 'old')).toStrictEqual({ name: 'A', size: 7 });
  });

  test('integers keep every digit', async () => {
    const serializer = await make({ defaultType: 'n.Numbers' });
    const least = {
      aInt32: -(2 ** 31),
      aSint32: -(2 ** 31),
      aSfixed32: -(2 ** 31),
      aInt64: -(2n ** 63n),
      aSint64: -(2n ** 63n),
      aSfixed64: -(2n ** 63n),
    };
    const most = {
      aInt32: 2 ** 31 - 1,
      aSint32: 2 ** 31 - 1,
      aUint32: 2 ** 32 - 1,
      aFixed32: 2 ** 32 - 1,
      aSfixed32: 2 ** 31 - 1,
      aInt64: 2n ** 63n - 1n,
      aSint64: 2n ** 63n - 1n,
      aUint64: 2n ** 64n - 1n,
      aFixed64: 2n ** 64n - 1n,
      aSfixed64: 2n ** 63n - 1n,
    };
    expect(trip(serializer, least)).toMatchObject(least);
    expect(trip(serializer, most)).toMatchObject(most);
    expect(trip(serializer, { longs: ['-9007199254740993', 5, 7n, { low: -1, high: -1 }] })).toMatchObject({
      longs: [-9007199254740993n, 5n, 7n, -1n],
    });
    expect(trip(serializer, { aUint64: { low: -1, high: -1 } })).toMatchObject({ aUint64: 2n ** 64n - 1n });
  });

  test('floats and doubles, also those that are no numbers', async () => {
    const serializer = await make({ defaultType: 'n.Numbers' });
    expect(trip(serializer, { aFloat: Number.NaN, aDouble: Number.NEGATIVE_INFINITY })).toMatchObject({
      aFloat: Number.NaN,
      aDouble: Number.NEGATIVE_INFINITY,
    });
    expect(trip(serializer, { aFloat: 0.1, aDouble: 0.1 })).toMatchObject({
      aFloat: Math.fround(0.1),
      aDouble: 0.1,
    });
    expect(trip(serializer, { aDouble: -0 })).toMatchObject({ aDouble: -0 });
  });

  test('int64 as strings, enums by name, names of fields as in the file', async () => {
    const serializer = await make({ int64: 'string', enums: 'string', keepCase: true });
    const order = {
      order_id: 'A',
      total: { cents: '9007199254740993', currency: '' },
      items: [],
      status: 'SENT',
      counters: { a: '-1' },
      raw: new Uint8Array(0),
    };
    expect(trip(serializer, order)).toStrictEqual(order);
    expect(read(serializer, '20 09')).toMatchObject({ status: 9 });
    expect(read(serializer, '')).toMatchObject({ status: 'NEW' });
  });

  test('maps with every kind of key, from objects and Maps', async () => {
    const serializer = await make({ defaultType: 'n.Maps' });
    const empty = { byInt64: {}, byUint64: {}, byInt32: {}, byBool: {}, byString: {} };
    const maps = {
      byInt64: { '-9223372036854775808': 'a', 12345678: 'b', 0: 'c' },
      byUint64: { '18446744073709551615': 'a', 99999999: 'b' },
      byInt32: { '-7': Uint8Array.of(1) },
      byBool: { true: 1, false: 2 },
      byString: { __proto__: empty, a: empty },
    };
    Object.defineProperty(maps.byString, '__proto__', {
      value: empty,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    expect(trip(serializer, maps)).toStrictEqual(maps);
    expect(trip(serializer, { byInt64: new Map([[5n, 'x']]), byBool: new Map([[false, 1]]) })).toStrictEqual({
      ...empty,
      byInt64: { 5: 'x' },
      byBool: { false: 1 },
    });
  });

  test('bytes are no view of the body, and results share no memory', async () => {
    const serializer = await make();
    const first = serializer.serialize({ orderId: 'first' }, context('x')) as Uint8Array;
    for (let i = 0; i < 1000; i++) await serializer.serialize({ orderId: `x${i}` }, context('x'));
    expect(read(serializer, first)).toMatchObject({ orderId: 'first' });
    const body = write(serializer, { raw: Buffer.from([1, 2]) });
    const { raw } = read(serializer, body) as { raw: Uint8Array };
    body.fill(0);
    expect(raw).toStrictEqual(Uint8Array.of(1, 2));
  });

  test('every value of every type makes it through', async () => {
    const serializer = await make({ defaultType: 'n.Numbers' });
    const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const numbers = fc.record(
      {
        aInt32: int32,
        aSint32: int32,
        aUint32: uint32,
        aFixed32: uint32,
        aSfixed32: int32,
        aInt64: int64,
        aSint64: int64,
        aUint64: uint64,
        aFixed64: uint64,
        aSfixed64: int64,
        aFloat: fc.float(),
        aDouble: fc.double(),
        aBool: fc.boolean(),
        anEnum: fc.nat(9),
        aBytes: fc.uint8Array(),
        aString: fc.string({ unit: 'grapheme' }),
        longs: fc.array(int64),
        enums: fc.array(fc.nat(9)),
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(numbers, (value) => {
        expect(trip(serializer, value)).toStrictEqual(value);
      }),
    );
  });
});

describe('a payload that is not what its type says is refused by field and type', () => {
  test.each([
    [5, 'payload must be a plain object for shop.OrderCreated, and is 5'],
    [undefined, 'payload must be a plain object for shop.OrderCreated, and is undefined'],
    [[], 'payload must be a plain object for shop.OrderCreated, and is an array'],
    [{ orderId: 5 }, 'payload.orderId must be a well-formed string for shop.OrderCreated.orderId, and is 5'],
    [{ orderId: '\ud800' }, 'payload.orderId must be a well-formed string'],
    [
      { order_id: 'A' },
      'payload.order_id: shop.OrderCreated has no such field; it has orderId, total, items',
    ],
    [{ toString: 'A' }, 'payload.toString: shop.OrderCreated has no such field'],
    [
      { items: {} },
      'payload.items must be an array, as shop.OrderCreated.items is repeated, and is an object',
    ],
    [
      { items: [{ sku: 'a' }, { count: -1 }] },
      'payload.items[1].count must be an integer in the range of uint32 for shop.Item.count, and is -1',
    ],
    [{ items: [{ count: 1.5 }] }, 'payload.items[0].count must be an integer'],
    [{ items: [{ count: 2 ** 32 }] }, 'payload.items[0].count must be an integer in the range of uint32'],
    [{ items: [{ count: '5' }] }, 'payload.items[0].count must be an integer'],
    [{ items: [null] }, 'payload.items[0] must be a plain object for shop.Item, and is null'],
    [
      { total: { cents: 2 ** 53 } },
      'payload.total.cents must be a bigint, safe integer or string of digits in the range of int64 for common.Money.cents, and is 9007199254740992',
    ],
    [{ total: { cents: 2n ** 63n } }, 'payload.total.cents must be a bigint'],
    [{ total: { cents: '5.5' } }, 'payload.total.cents must be a bigint'],
    [{ total: { cents: '' } }, 'payload.total.cents must be a bigint'],
    [{ total: 'EUR' }, 'payload.total must be a plain object for common.Money, and is "EUR"'],
    [{ status: 'LOST' }, 'payload.status must be one of NEW, PAID, SENT for shop.Status, and is "LOST"'],
    [{ status: 1.5 }, 'payload.status must be one of NEW, PAID, SENT'],
    [{ counters: { a: 'x' } }, 'payload.counters.a must be a bigint'],
    [{ counters: [] }, 'payload.counters must be an object, as shop.OrderCreated.counters is a map'],
    [{ counters: new Map([[5, 1n]]) }, 'payload.counters must have keys of type string, and is 5'],
    [{ raw: 'AQI=' }, 'payload.raw must be a Uint8Array for shop.OrderCreated.raw, and is "AQI="'],
    [{ raw: [1] }, 'payload.raw must be a Uint8Array'],
    [{ person: 'Ada', company: 5 }, 'payload is no shop.OrderCreated: payer: multiple values'],
    [{ at: new Date(0) }, 'payload.at must be a plain object for google.protobuf.Timestamp, and is a Date'],
    [{ total: new Map() }, 'payload.total must be a plain object for common.Money, and is a Map'],
  ])('%o', async (data, message) => {
    const serializer = await make();
    expect(refused(() => write(serializer, data)).message).toContain(message);
  });

  test('a float that would become infinite, a key out of range, a required field', async () => {
    const serializer = await make({ types: { n: 'n.Numbers', m: 'n.Maps', old: 'Old' } });
    expect(refused(() => write(serializer, { aFloat: 1e300 }, 'n'), 'n').message).toContain(
      'must be a float for n.Numbers.aFloat',
    );
    expect(
      refused(() => write(serializer, { byInt32: { 3000000000: Uint8Array.of() } }, 'm'), 'm').message,
    ).toContain('keys of type int32');
    expect(refused(() => write(serializer, { byBool: { yes: 1 } }, 'm'), 'm').message).toContain(
      'keys of type bool',
    );
    expect(refused(() => write(serializer, { size: 1 }, 'old'), 'old').message).toContain(
      'payload is no Old: name',
    );
  });

  test('a circle', async () => {
    const order: Record<string, unknown> = {};
    order.previous = order;
    const serializer = await make();
    expect(refused(() => write(serializer, order)).message).toBe(
      'payload.previous.previous.previous.previous… is nested too deeply',
    );
  });
});

describe('a body that is not of the type is refused', () => {
  test.each([
    ['cut off', '0a 05 4131'],
    ['a wrong wire type', '07'],
    ['a field without an end', 'ff'],
  ])('%s', async (_name, bytes) => {
    const serializer = await make();
    expect(refused(() => read(serializer, bytes)).message).toMatch(
      /bytes is not the protobuf message of topic "x"/,
    );
  });

  test('no bytes at all end in another error', async () => {
    const serializer = await make();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          read(serializer, bytes);
        } catch (error) {
          return SerializationError.is(error);
        }
        return true;
      }),
      { numRuns: 1000 },
    );
  });

  test('nesting deeper than the stack', async () => {
    const serializer = await make();
    refused(() => read(serializer, Buffer.alloc(1_000_000, 0x5b)));
  });
});

describe('types by topic', () => {
  test('the first pattern that matches counts, then the default', async () => {
    const serializer = await make({
      types: {
        'orders.*.cancelled': 'shop.OrderCancelled',
        'orders.#': 'common.Money',
        'orders.eu.created': 'n.Maps',
      },
    });
    expect(trip(serializer, { reason: 'late' }, 'orders.eu.cancelled')).toEqual({ reason: 'late' });
    expect(trip(serializer, { cents: 5 }, 'orders.eu.created')).toEqual({ cents: 5n, currency: '' });
    expect(trip(serializer, {}, 'other')).toEqual(EMPTY_ORDER);
  });

  test('a topic without a type is refused, both ways', async () => {
    const serializer = await protobuf({ protoPath: folder, types: { 'a.*': 'Old' } });
    const message = 'topic "b" has no protobuf message type (options "types" and "defaultType")';
    expect(refused(() => write(serializer, {}, 'b'), 'b').message).toBe(message);
    expect(refused(() => read(serializer, '', 'b'), 'b').message).toBe(message);
  });
});

describe('at the start', () => {
  test('files and folders can be mixed, and imports are found from any of them', async () => {
    const one = await protobuf({ protoPath: [join(folder, 'shop'), folder], defaultType: 'shop.Item' });
    expect(trip(one, { sku: 'a' })).toEqual({ sku: 'a', count: 0 });
    const file = await protobuf({ protoPath: join(folder, 'numbers.proto'), defaultType: 'n.Maps' });
    expect(trip(file, {})).toMatchObject({ byBool: {} });
  });

  test.each([
    [() => ({ protoPath: join(folder, 'nowhere') }), /option "protoPath": ENOENT.*nowhere/],
    [() => ({ protoPath: [] }), /option "protoPath" is needed/],
    [() => undefined, /option "protoPath" is needed/],
    [() => ({ protoPath: 5 }), /option "protoPath" must be .* not 5/],
    [() => ({ protoPath: join(folder, 'shop') }), /option "protoPath": .*ENOENT.*money\.proto/],
    [
      () => ({ protoPath: folder, defaultType: 'shop.Nothing' }),
      /type "shop.Nothing" does not exist in "protoPath"; there are .*shop\.Item/,
    ],
    [() => ({ protoPath: folder, defaultType: 'Item' }), /type "Item" does not exist/],
    [() => ({ protoPath: folder, defaultType: 'shop.Status' }), /type "shop.Status" does not exist/],
    [() => ({ protoPath: folder, types: { 'a.*': 'shop' } }), /type "shop" does not exist/],
    [() => ({ protoPath: folder, types: { 'a..b': 'shop.Item' } }), /option "types" must be .*"a\.\.b"/],
    [() => ({ protoPath: folder, types: { a: 5 } }), /option "types" must be .*\("a" has 5\)/],
    [() => ({ protoPath: folder, int64: 'number' }), /option "int64" must be "bigint" or "string"/],
  ])('%s is a ConfigError', async (options, message) => {
    const failed = protobuf(options() as unknown as ProtobufOptions);
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.toSatisfy((error) => ConfigError.is(error));
  });

  test('a file with a mistake is a ConfigError that names it and the line', async () => {
    const bad = await mkdtemp(join(tmpdir(), 'ambus-proto-'));
    try {
      await expect(protobuf({ protoPath: bad })).rejects.toThrow(/there is no \.proto file in/);
      await writeFile(join(bad, 'bad.proto'), 'syntax = "proto3";\nmessage {');
      await expect(protobuf({ protoPath: bad })).rejects.toThrow(/bad\.proto, line 2/);
      await writeFile(join(bad, 'bad.proto'), 'syntax = "proto3";\nmessage M { Missing x = 1; }');
      await expect(protobuf({ protoPath: bad })).rejects.toThrow(/Missing/);
      await expect(protobuf({ protoPath: bad })).rejects.toSatisfy((error) => ConfigError.is(error));
    } finally {
      await rm(bad, { recursive: true });
    }
  });
});
