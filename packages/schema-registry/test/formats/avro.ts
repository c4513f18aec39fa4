import { ConfigError, SerializationError, ValidationError } from '@ambus/core';
import { SchemaRegistry as Independent } from '@kafkajs/confluent-schema-registry';
import avsc from 'avsc';
import { expect, it } from 'vitest';
import { avro } from '../../src/avro/avro.ts';
import { on, registry } from '../support/registry.ts';

const field = (name: string, type: unknown, more: object = {}) => ({ name, type, ...more });
const record = (name: string, ...fields: object[]) => ({ type: 'record', name, namespace: 'shop', fields });

const ORDER = record(
  'Order',
  field('id', 'long'),
  field('note', ['null', 'string'], { default: null }),
  field('tags', { type: 'array', items: 'string' }),
  field('sizes', { type: 'map', values: 'int' }),
  field('state', { type: 'enum', name: 'State', symbols: ['OPEN', 'PAID'] }),
  field('hash', { type: 'fixed', name: 'Hash', size: 4 }),
  field('blob', 'bytes'),
  field('ratio', 'double'),
);

const order = {
  id: 2n ** 63n - 1n,
  note: 'hëllo',
  tags: ['a', 'b'],
  sizes: { small: 1, large: -2 },
  state: 'PAID',
  hash: Uint8Array.of(1, 2, 3, 4),
  blob: Uint8Array.of(0, 255),
  ratio: 0.1,
};

it('writes what an independent decoder reads, and reads it back exactly', async () => {
  const topic = registry.topic('orders');
  const writer = await avro({ registry: registry.client(), schemas: { [topic]: { schema: ORDER } } });
  const body = await writer.serialize(order, on(topic));

  // By hand: a zero, four bytes of the id, and Avro.
  const { id, schema } = await registry.api('GET', `subjects/${topic}-value/versions/latest`);
  expect(body[0]).toBe(0);
  expect(Buffer.from(body).readUInt32BE(1)).toBe(id);
  const small = { ...order, id: 7n };
  const direct = avsc.Type.forSchema(JSON.parse(schema));
  const raw = Buffer.from(await writer.serialize(small, on(topic)));
  const decoded: any = direct.fromBuffer(raw.subarray(5));
  expect(decoded).toMatchObject({ id: 7, note: 'hëllo', tags: ['a', 'b'], state: 'PAID', ratio: 0.1 });
  const independent = new Independent({ host: registry.server.url });
  expect(await independent.decode(raw)).toMatchObject({
    id: 7,
    note: 'hëllo',
    sizes: { small: 1, large: -2 },
  });

  // What the other one writes is read, too.
  const foreign = await independent.encode(id, {
    ...small,
    id: 7,
    hash: Buffer.from(small.hash),
    blob: Buffer.from(small.blob),
  });
  const reader = await avro({ registry: registry.client() });
  expect(await reader.deserialize(foreign, on(topic))).toStrictEqual(small);
  expect(await reader.deserialize(body, on(topic))).toStrictEqual(order);
});

it('is asynchronous for the first message only', async () => {
  const topic = registry.topic('first');
  const serializer = await avro({ registry: registry.client(), schemas: { [topic]: { schema: ORDER } } });
  const first = serializer.serialize(order, on(topic));
  expect(first).toBeInstanceOf(Promise);
  const body = await first;
  expect(serializer.serialize(order, on(topic))).toEqual(body);
  expect(serializer.deserialize(body, on(topic))).toBeInstanceOf(Promise);
  await serializer.deserialize(body, on(topic));
  expect(serializer.deserialize(body, on(topic))).toStrictEqual(order);
});

it('has a form for logical types, and loses no digit', async () => {
  const schema = record(
    'Times',
    field('day', { type: 'int', logicalType: 'date' }),
    field('at', { type: 'long', logicalType: 'timestamp-millis' }),
    field('micros', { type: 'long', logicalType: 'timestamp-micros' }),
    field('maybe', ['null', { type: 'long', logicalType: 'timestamp-millis' }]),
    field('price', { type: 'bytes', logicalType: 'decimal', precision: 20, scale: 2 }),
    field('fixed', { type: 'fixed', name: 'D', size: 4, logicalType: 'decimal', precision: 9, scale: 3 }),
  );
  const topic = registry.topic('times');
  const options = { registry: registry.client(), schemas: { [topic]: { schema } } };
  const serializer = await avro(options);
  const value = {
    day: new Date('2024-02-29T00:00:00Z'),
    at: new Date('1969-12-31T23:59:59.999Z'),
    micros: 1_700_000_000_000_001n,
    maybe: new Date(0),
    price: '-123456789012345678.90',
    fixed: '0.001',
  };
  const body = await serializer.serialize(value, on(topic));
  expect(await serializer.deserialize(body, on(topic))).toStrictEqual(value);
  const decimals = await avro({ ...options, decimal: (text) => ({ text }), int64: 'string' });
  expect(await decimals.deserialize(body, on(topic))).toMatchObject({
    price: { text: '-123456789012345678.90' },
    micros: '1700000000000001',
  });
  for (const price of ['1.5', 1.5, 7, 10n ** 17n, '1e3', { toFixed() {}, toString: () => '2.25' }]) {
    const given = await serializer.serialize({ ...value, price }, on(topic));
    const got: any = await serializer.deserialize(given, on(topic));
    expect(Number(got.price)).toBe(Number(String(price)));
  }
  for (const [name, wrong] of [
    ['day', new Date('2024-02-29T00:00:01Z')],
    ['at', new Date(Number.NaN)],
    ['micros', new Date()],
    ['price', '1.234'],
    ['price', '1234567890123456789.00'],
    ['price', 0.1 + 0.2],
    ['fixed', '9999999.999'],
  ] as const) {
    expect(() => serializer.serialize({ ...value, [name]: wrong }, on(topic))).toThrow(`payload.${name}`);
  }
});

it.each([
  ['id', { id: 1.5 }],
  ['id', { id: 2n ** 63n }],
  ['note', { note: 5 }],
  ['note', { note: '\ud800' }],
  ['tags[1]', { tags: ['a', 2] }],
  ['sizes.small', { sizes: { small: 2 ** 31 } }],
  ['state', { state: 'LOST' }],
  ['hash', { hash: Uint8Array.of(1) }],
  ['blob', { blob: 'text' }],
  ['ratio', { ratio: '0.1' }],
  ['ratio', { ratio: undefined }],
  ['typo', { typo: 1 }],
])('refuses a payload with a wrong %s, and names it', async (place, change) => {
  const topic = registry.topic('refused');
  const serializer = await avro({ registry: registry.client(), schemas: { [topic]: { schema: ORDER } } });
  const error = await Promise.resolve(serializer.serialize({ ...order, ...change }, on(topic))).catch(
    (e) => e,
  );
  expect(SerializationError.is(error)).toBe(true);
  expect(error.message).toContain(`payload.${place}`);
  expect(error.topic).toBe(topic);
});

it('tells the branches of a union apart by their values, or by name where that does not do', async () => {
  const schema = record(
    'U',
    field('plain', ['null', 'string', 'long', { type: 'array', items: 'int' }]),
    field('named', [record('A', field('x', 'int')), record('B', field('x', 'int'))]),
    field('numbers', ['int', 'double']),
  );
  const topic = registry.topic('unions');
  const serializer = await avro({ registry: registry.client(), schemas: { [topic]: { schema } } });
  for (const plain of [null, 'text', 5n, [1, 2]]) {
    const value = { plain, named: { 'shop.B': { x: 1 } }, numbers: { double: 5 } };
    const body = await serializer.serialize(value, on(topic));
    expect(await serializer.deserialize(body, on(topic))).toStrictEqual(value);
  }
  const wrong = { plain: null, named: { x: 1 }, numbers: { double: 5 } };
  expect(() => serializer.serialize(wrong, on(topic))).toThrow('payload.named must be an object that names');
});

it("reads every version as the topic's own schema", async () => {
  const topic = registry.topic('evolving');
  const one = record('E', field('id', 'int'), field('gone', 'string', { default: 'x' }));
  const two = record('E', field('id', 'double'), field('extra', 'long', { default: 7 }));
  const schemas = (schema: object) => ({ registry: registry.client(), schemas: { [topic]: { schema } } });
  const [old, now] = [await avro(schemas(one)), await avro(schemas(two))];
  const first = await old.serialize({ id: 1, gone: 'y' }, on(topic));
  const second = await now.serialize({ id: 2, extra: 8 }, on(topic));
  expect(await now.deserialize(first, on(topic))).toStrictEqual({ id: 1, extra: 7n });
  expect(await now.deserialize(second, on(topic))).toStrictEqual({ id: 2, extra: 8n });
  const plain = await avro({ registry: registry.client() });
  expect(await plain.deserialize(first, on(topic))).toStrictEqual({ id: 1, gone: 'y' });
  const hopeless = await avro(schemas(record('E', field('id', 'string'))));
  await expect(hopeless.deserialize(first, on(topic))).rejects.toThrow(SerializationError);
});

it('refuses an incompatible schema, and says which field broke', async () => {
  const topic = registry.topic('broken');
  const schemas = (schema: object) => ({ registry: registry.client(), schemas: { [topic]: { schema } } });
  await (await avro(schemas(record('C', field('id', 'long'))))).serialize({ id: 1 }, on(topic));
  const next = await avro(schemas(record('C', field('id', 'string'), field('more', 'string'))));
  const error: any = await Promise.resolve(next.serialize({ id: 'x', more: '' }, on(topic))).catch((e) => e);
  expect(ValidationError.is(error)).toBe(true);
  expect(error.message).toContain('field "id" was long, no default, and is string, no default');
  expect(error.message).toContain('field "more" was added');
  expect(error.issues.map(({ path }: any) => path)).toEqual([['id'], ['more']]);
  expect(await registry.api('GET', `subjects/${topic}-value/versions`)).toEqual([1]);
});

it('registers nothing with register: false', async () => {
  const topic = registry.topic('unregistered');
  const schemas = { [topic]: { schema: ORDER } };
  const careful = await avro({ registry: registry.client(), register: false, schemas });
  const refused = Promise.resolve(careful.serialize(order, on(topic)));
  await expect(refused).rejects.toThrow('"register" is false');
  expect(await registry.api('GET', `subjects/${topic}-value/versions`)).toMatchObject({ error_code: 40401 });
  await (await avro({ registry: registry.client(), schemas })).serialize(order, on(topic));
  expect(await careful.serialize(order, on(topic))).toBeInstanceOf(Uint8Array);
});

it('registers what a schema refers to, and reads it without having it', async () => {
  const topic = registry.topic('references');
  const city = record('City', field('name', 'string'));
  const address = record('Address', field('city', 'shop.City'));
  const schema = record('Letter', field('to', 'shop.Address'), field('from', 'shop.City'));
  const references = [
    {
      name: 'shop.Address',
      subject: `${topic}-Address`,
      schema: address,
      references: [{ name: 'shop.City', subject: `${topic}-City`, schema: city }],
    },
  ];
  const data = { to: { city: { name: 'Ulm' } }, from: { name: 'Rom' } };
  const writer = await avro({ registry: registry.client(), schemas: { [topic]: { schema, references } } });
  const body = await writer.serialize(data, on(topic));
  expect(await (await avro({ registry: registry.client() })).deserialize(body, on(topic))).toStrictEqual(
    data,
  );
  const stored = await registry.api('GET', `subjects/${topic}-value/versions/1`);
  expect(stored.references).toEqual([{ name: 'shop.Address', subject: `${topic}-Address`, version: 1 }]);
  const byVersion = [{ name: 'shop.Address', subject: `${topic}-Address`, version: 1 }];
  const other = await avro({
    registry: registry.client(),
    register: false,
    schemas: { [topic]: { schema, references: byVersion } },
  });
  expect(await other.serialize(data, on(topic))).toEqual(body);
  expect(await other.deserialize(body, on(topic))).toStrictEqual(data);
});

it('names subjects by strategy, and writes with what is registered', async () => {
  const topic = registry.topic('subjects');
  const name = topic.replaceAll('-', '_');
  const schema = record(name, field('id', 'int'));
  for (const [subject, expected] of [
    ['topic', `${topic}-value`],
    ['record', `shop.${name}`],
    ['topic-record', `${topic}-shop.${name}`],
    [({ record }: any) => `own-${record}`, `own-shop.${name}`],
  ] as const) {
    const serializer = await avro({ registry: registry.client(), subject, schemas: { '#': { schema } } });
    await serializer.serialize({ id: 1 }, on(topic));
    expect(await registry.api('GET', `subjects/${expected}/versions`)).toEqual([1]);
  }
  const fixed = await avro({
    registry: registry.client(),
    schemas: { '#': { schema, subject: `all-${topic}` } },
  });
  await fixed.serialize({ id: 1 }, on(topic));
  for (const version of [1, 'latest'] as const) {
    const remote = await avro({
      registry: registry.client(),
      schemas: { '#': { version, subject: `all-${topic}` } },
    });
    const body = await remote.serialize({ id: 2 }, on('anywhere'));
    expect(await remote.deserialize(body, on('anywhere'))).toStrictEqual({ id: 2 });
  }
  const missing = await avro({
    registry: registry.client(),
    schemas: { '#': { version: 9, subject: `all-${topic}` } },
  });
  await expect(missing.serialize({ id: 2 }, on('anywhere'))).rejects.toThrow('no version 9');
});

it('refuses damaged bodies, whatever is damaged', async () => {
  const topic = registry.topic('damaged');
  const serializer = await avro({ registry: registry.client(), schemas: { [topic]: { schema: ORDER } } });
  const body = Buffer.from(await serializer.serialize(order, on(topic)));
  await serializer.deserialize(body, on(topic));
  const refuses = async (bytes: Uint8Array) => {
    try {
      await serializer.deserialize(bytes, on(topic));
    } catch (error) {
      expect(SerializationError.is(error), String(error)).toBe(true);
      return true;
    }
    return false;
  };
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('{"id":1}'),
    body.subarray(0, 4),
    Buffer.concat([body, Buffer.alloc(1)]),
  ]) {
    expect(await refuses(bytes)).toBe(true);
  }
  for (let at = 5; at < body.length; at++) expect(await refuses(body.subarray(0, at))).toBe(true);
  const unknown = Buffer.from(body);
  unknown.writeUInt32BE(2_000_000_000, 1);
  expect(await refuses(unknown)).toBe(true);
  // A count of 2^40 items: it must not be believed.
  const start = performance.now();
  const huge = Buffer.concat([body.subarray(0, 5), Buffer.from('0200808080808080808001', 'hex')]);
  expect(await refuses(huge)).toBe(true);
  let random = 1;
  for (let round = 0; round < 2_000; round++) {
    const bytes = Buffer.from(body);
    for (let flips = 0; flips < 4; flips++) {
      random = (random * 48_271) % 2_147_483_647;
      bytes[5 + (random % (bytes.length - 5))] = random >> 8;
    }
    await refuses(bytes);
  }
  expect(performance.now() - start).toBeLessThan(5_000);
});

it('checks options and schemas when it is made', async () => {
  const client = registry.client();
  const wrong: any[] = [
    { schemas: { 'a..b': { schema: 'int' } } },
    { schemas: { a: { schema: { type: 'recod' } } } },
    { schemas: { a: { schema: '{' } } },
    { schemas: { a: {} } },
    { schemas: { a: { version: 0 } } },
    { schemas: { a: { schema: 'int', references: [{ name: 'x', subject: 'y' }] } } },
    { register: 'yes' },
    { subject: 'topics' },
    { int64: 'number' },
    { typo: 1 },
    { registry: {} },
  ];
  for (const options of wrong) {
    await expect(avro({ registry: client, ...options }), JSON.stringify(options)).rejects.toThrow(
      ConfigError,
    );
  }
});
