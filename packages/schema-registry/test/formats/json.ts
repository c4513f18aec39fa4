import { ConfigError, SerializationError, ValidationError } from '@ambus/core';
import { SchemaRegistry as Independent } from '@kafkajs/confluent-schema-registry';
import { expect, it } from 'vitest';
import { jsonSchema } from '../../src/json/json.ts';
import { on, registry } from '../support/registry.ts';

const ORDER = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Order',
  type: 'object',
  properties: {
    id: { type: 'integer' },
    at: { type: 'string' },
    lines: {
      type: 'array',
      items: { type: 'object', properties: { count: { type: 'integer', minimum: 1 } } },
    },
    state: { enum: ['open', 'paid'] },
  },
  required: ['id'],
  additionalProperties: false,
};

it('writes what an independent decoder reads, and reads what it writes', async () => {
  const topic = registry.topic('orders');
  const schemas = { [topic]: { schema: ORDER } };
  const serializer = await jsonSchema({ registry: registry.client(), schemas });
  const at = new Date('2024-01-01T00:00:00Z');
  const body = Buffer.from(await serializer.serialize({ id: 1, at }, on(topic)));
  const { id } = await registry.api('GET', `subjects/${topic}-value/versions/latest`);
  expect(body.readUInt32BE(1)).toBe(id);
  expect(body.subarray(5).toString()).toBe('{"id":1,"at":"2024-01-01T00:00:00.000Z"}');
  const independent = new Independent({ host: registry.server.url });
  expect(await independent.decode(body)).toEqual({ id: 1, at: at.toISOString() });
  const foreign = await independent.encode(id, { id: 2, state: 'open' });
  expect(await serializer.deserialize(foreign, on(topic))).toStrictEqual({ id: 2, state: 'open' });
});

it.each([
  ['id is missing', {}],
  ['id must be integer', { id: 1.5 }],
  ['lines[0].count must be >= 1', { id: 1, lines: [{ count: 0 }] }],
  ['state must be equal to one of the allowed values (open, paid)', { id: 1, state: 'lost' }],
  ['typo is not in the schema', { id: 1, typo: 1 }],
])('refuses a payload whose %s', async (what, data) => {
  const topic = registry.topic('refused');
  const serializer = await jsonSchema({
    registry: registry.client(),
    schemas: { [topic]: { schema: ORDER } },
  });
  const error = await Promise.resolve(serializer.serialize(data, on(topic))).catch((e) => e);
  expect(SerializationError.is(error)).toBe(true);
  expect(error.message).toContain(`payload.${what}`);
});

it('holds what arrives against its own schema, or the one that it was written with', async () => {
  const topic = registry.topic('arriving');
  const made = (schemas?: object) => jsonSchema({ registry: registry.client(), ...(schemas as any) });
  const writer = await made({ schemas: { [topic]: { schema: ORDER } } });
  const body = Buffer.from(await writer.serialize({ id: 1 }, on(topic)));
  const reader = await made();
  expect(await reader.deserialize(body, on(topic))).toStrictEqual({ id: 1 });
  const wrong = Buffer.concat([body.subarray(0, 5), Buffer.from('{"id":"1"}')]);
  expect(() => reader.deserialize(wrong, on(topic))).toThrow('payload.id must be integer');
  const strict = await made({ schemas: { [topic]: { schema: { ...ORDER, required: ['id', 'state'] } } } });
  await expect(strict.deserialize(body, on(topic))).rejects.toThrow('payload.state is missing');
  for (const bytes of ['', '{', '\xff']) {
    const damaged = Buffer.concat([body.subarray(0, 5), Buffer.from(bytes, 'latin1')]);
    expect(() => reader.deserialize(damaged, on(topic))).toThrow(SerializationError);
  }
});

it('keeps digits and dates with the options of json', async () => {
  const topic = registry.topic('exact');
  const options = { bigints: 'number', decimals: 'string' } as const;
  const serializer = await jsonSchema({
    registry: registry.client(),
    json: options,
    schemas: { [topic]: { schema: ORDER } },
  });
  const body = await serializer.serialize({ id: 2n ** 63n }, on(topic));
  expect(await serializer.deserialize(body, on(topic))).toStrictEqual({ id: '9223372036854775808' });
});

it('follows references, by relative and absolute names', async () => {
  const topic = registry.topic('references');
  const money = { type: 'object', properties: { amount: { type: 'integer' } }, required: ['amount'] };
  for (const [base, ref] of [
    [undefined, 'money.json'],
    ['https://shop.example/order.json', 'money.json'],
    ['https://shop.example/order.json', 'https://shop.example/money.json'],
    ['/schemas/order.json', 'money.json'],
    ['schemas/order.json', '../money.json'],
  ]) {
    const schema = { ...(base && { $id: base }), type: 'object', properties: { price: { $ref: ref } } };
    const references = [{ name: ref!, subject: `${topic}-money`, schema: money }];
    const subject = registry.topic('with-references');
    const serializer = await jsonSchema({
      registry: registry.client(),
      schemas: { '#': { schema, references, subject } },
    });
    const body = await serializer.serialize({ price: { amount: 1 } }, on(topic));
    expect(() => serializer.serialize({ price: {} }, on(topic))).toThrow('payload.price.amount is missing');
    const reader = await jsonSchema({ registry: registry.client() });
    expect(await reader.deserialize(body, on(topic))).toStrictEqual({ price: { amount: 1 } });
  }
});

it('takes the first of two references of one name, where it writes and where it reads', async () => {
  const topic = registry.topic('diamond');
  const common = (type: string) => [
    {
      name: 'common.json',
      subject: `${topic}-${type}`,
      schema: { type: 'object', properties: { v: { type } } },
    },
  ];
  const part = (name: string, type: string) => ({
    name,
    subject: `${topic}-${name}`,
    schema: { type: 'object', properties: { of: { $ref: 'common.json' } } },
    references: common(type),
  });
  const references = [part('a', 'string'), part('b', 'integer')];
  const schema = { type: 'object', properties: { a: { $ref: 'a' }, b: { $ref: 'b' } } };
  const schemas = { [topic]: { schema, references } };
  const writer = await jsonSchema({ registry: registry.client(), schemas });
  const data = { a: { of: { v: 'x' } }, b: { of: { v: 'y' } } };
  const body = await writer.serialize(data, on(topic));
  const reader = await jsonSchema({ registry: registry.client() });
  expect(await reader.deserialize(body, on(topic))).toStrictEqual(data);
});

it('refuses an incompatible schema, and says which field broke', async () => {
  const topic = registry.topic('broken');
  const made = (schema: object) =>
    jsonSchema({ registry: registry.client(), schemas: { [topic]: { schema } } });
  await (await made(ORDER)).serialize({ id: 1 }, on(topic));
  const next = await made({ ...ORDER, required: ['id', 'state'] });
  const error: any = await Promise.resolve(next.serialize({ id: 1, state: 'open' }, on(topic))).catch(
    (e) => e,
  );
  expect(ValidationError.is(error)).toBe(true);
  expect(error.issues.map(({ path }: any) => path)).toEqual([['state']]);
});

it('knows the newer drafts, and refuses what it does not know', async () => {
  const topic = registry.topic('drafts');
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'array',
    prefixItems: [{ type: 'integer' }],
  };
  const serializer = await jsonSchema({ registry: registry.client(), schemas: { [topic]: { schema } } });
  await serializer.serialize([1], on(topic));
  expect(() => serializer.serialize(['x'], on(topic))).toThrow('payload[0] must be integer');
  for (const wrong of ['{', { $schema: 'http://json-schema.org/draft-04/schema#' }, { type: 'nothing' }]) {
    await expect(
      jsonSchema({ registry: registry.client(), schemas: { a: { schema: wrong } } }),
    ).rejects.toThrow(ConfigError);
  }
});

it('says that it is incompatible with a version that it cannot compile', async () => {
  const topic = registry.topic('draft-04');
  const old = { ...ORDER, $schema: 'http://json-schema.org/draft-04/schema#' };
  await registry.api('POST', `subjects/${topic}-value/versions`, {
    schemaType: 'JSON',
    schema: JSON.stringify(old),
  });
  const schemas = { [topic]: { schema: { ...ORDER, required: ['id', 'state'] } } };
  const writer = await jsonSchema({ registry: registry.client(), schemas });
  const work = Promise.resolve(writer.serialize({ id: 1, state: 'open' }, on(topic)));
  const error: any = await work.catch((error: unknown) => error);
  expect(ValidationError.is(error), String(error)).toBe(true);
});

it('reads as its own schema what was written with one that it cannot compile', async () => {
  const topic = registry.topic('draft-04');
  const schema = { $schema: 'http://json-schema.org/draft-04/schema#', type: 'object' };
  const { id } = await registry.api('POST', `subjects/${topic}-value/versions`, {
    schemaType: 'JSON',
    schema: JSON.stringify(schema),
  });
  const body = Buffer.from([0, 0, 0, 0, 0, ...Buffer.from('{"id":1}')]);
  body.writeUInt32BE(id, 1);
  const schemas = { [topic]: { schema: ORDER } };
  const reader = await jsonSchema({ registry: registry.client(), schemas });
  expect(await reader.deserialize(body, on(topic))).toStrictEqual({ id: 1 });
  const other = await jsonSchema({ registry: registry.client() });
  await expect(other.deserialize(body, on(topic))).rejects.toThrow('draft-04/schema# is not supported');
});

it.each([
  ['^\\d{3}\\-\\d{4}$', '123-4567', '1234567'],
  ['^\\w+\\@\\w+$', 'a@b', 'ab'],
  ['^[\\w-.]+$', 'a-b.c', 'a b'],
  ['^.$', '😀', '😀😀'],
  ['^\\p{L}+$', 'ü', '1'],
])('takes the pattern %s as other validators do', async (pattern, right, wrong) => {
  const topic = registry.topic('patterns');
  const schema = { type: 'object', properties: { a: { type: 'string', pattern } } };
  const serializer = await jsonSchema({ registry: registry.client(), schemas: { [topic]: { schema } } });
  expect(await serializer.serialize({ a: right }, on(topic))).toBeInstanceOf(Uint8Array);
  expect(() => serializer.serialize({ a: wrong }, on(topic))).toThrow('payload.a must match pattern');
});

it('refuses a pattern that is none', async () => {
  const schemas = { a: { schema: { pattern: '(?i' } } };
  await expect(jsonSchema({ registry: registry.client(), schemas })).rejects.toThrow(ConfigError);
});
