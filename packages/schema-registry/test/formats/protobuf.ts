import { ConfigError, SerializationError, ValidationError } from '@ambus/core';
import protobufjs from 'protobufjs';
import { expect, it } from 'vitest';
import { readIndexes, writeIndexes } from '../../src/protobuf/indexes.ts';
import { protobuf } from '../../src/protobuf/protobuf.ts';
import { on, registry } from '../support/registry.ts';

const SHOP = `
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
enum State { OPEN = 0; PAID = 1; }
message Order {
  int64 id = 1;
  string note = 2;
  repeated string tags = 3;
  map<string, int32> sizes = 4;
  State state = 5;
  google.protobuf.Timestamp placed_at = 6;
}
message Event {
  message Created { Order order = 1; }
  message Closed { message Reason { string text = 1; } Reason reason = 1; }
  oneof what { Created created = 1; Closed closed = 2; }
}
`;
const order = {
  id: 2n ** 63n - 1n,
  note: 'hëllo',
  tags: ['a'],
  sizes: { small: 1 },
  state: 1,
  placedAt: { seconds: 1n, nanos: 0 },
};

it('writes the indexes of the wire format', () => {
  // As the format's documentation has them, and values of more than seven bits.
  expect(Buffer.from(writeIndexes([0])).toString('hex')).toBe('00');
  expect(Buffer.from(writeIndexes([1])).toString('hex')).toBe('0202');
  expect(Buffer.from(writeIndexes([1, 0])).toString('hex')).toBe('040200');
  expect(Buffer.from(writeIndexes([64])).toString('hex')).toBe('028001');
  for (const indexes of [[0], [0, 0], [3, 200, 0], [100_000]]) {
    expect(readIndexes(writeIndexes(indexes)).indexes).toEqual(indexes);
  }
  expect(() => readIndexes(Uint8Array.of(0x80))).toThrow(SerializationError);
  expect(() => readIndexes(Buffer.from('ffffffff0f', 'hex'))).toThrow(SerializationError);
});

it.each([
  ['shop.Order', '00', order],
  ['shop.Event', '0202', { created: { order } }],
  ['shop.Event.Closed', '040202', { reason: { text: 'late' } }],
  ['shop.Event.Closed.Reason', '06020200', { text: 'late' }],
])('writes %s with its indexes, and another reader finds it by them', async (message, indexes, data) => {
  const topic = registry.topic('shop');
  const schemas = { [topic]: { schema: SHOP, message } };
  const writer = await protobuf({ registry: registry.client(), schemas });
  const body = Buffer.from(await writer.serialize(data, on(topic)));
  const { id, schema } = await registry.api('GET', `subjects/${topic}-value/versions/latest`);
  expect(body[0]).toBe(0);
  expect(body.readUInt32BE(1)).toBe(id);
  expect(body.subarray(5, 5 + indexes.length / 2).toString('hex')).toBe(indexes);
  // By hand, with the library alone.
  const { root } = protobufjs.parse(schema.replace(/import .*/, '').replace(/google.*placed_at = 6;/, ''));
  const direct = root.lookupType(message).decode(body.subarray(5 + indexes.length / 2));
  if ('text' in data) expect(direct.toJSON()).toEqual(data);
  if ('note' in data)
    expect(direct.toJSON()).toMatchObject({ id: '9223372036854775807', tags: ['a'], state: 'PAID' });
  // A reader that has no schema.
  const reader = await protobuf({ registry: registry.client() });
  expect(await reader.deserialize(body, on('elsewhere'))).toStrictEqual(data);
});

it.each([
  ['int32 a = 1;', { a: 150 }, '089601'],
  ['string b = 2;', { b: 'testing' }, '120774657374696e67'],
])('writes %s as the documentation of Protocol Buffers has it', async (field, data, bytes) => {
  const topic = registry.topic('documented');
  const schema = `syntax = "proto3"; message Test { ${field} }`;
  const writer = await protobuf({ registry: registry.client(), schemas: { [topic]: { schema } } });
  const body = Buffer.from(await writer.serialize(data, on(topic)));
  expect(body.subarray(5).toString('hex')).toBe(`00${bytes}`);
});

it('finds its own message where a package is spread over files', async () => {
  const topic = registry.topic('files');
  const common =
    'syntax = "proto3"; package shop; message First { string a = 1; } message Second { string b = 1; }';
  const schema =
    'syntax = "proto3"; package shop; import "common.proto"; message Mine { Second second = 1; } message Other {}';
  const references = [{ name: 'common.proto', subject: `${topic}-common`, schema: common }];
  for (const [message, start] of [
    ['shop.Mine', '00'],
    ['shop.Other', '0202'],
  ] as const) {
    const writer = await protobuf({
      registry: registry.client(),
      schemas: { '#': { schema, references, message } },
    });
    const data = message === 'shop.Mine' ? { second: { b: 'x' } } : {};
    const body = Buffer.from(await writer.serialize(data, on(topic)));
    expect(body.subarray(5, 5 + start.length / 2).toString('hex')).toBe(start);
    const reader = await protobuf({ registry: registry.client() });
    expect(await reader.deserialize(body, on(topic))).toStrictEqual(data);
  }
});

const OPTIONS = `
syntax = "proto3";
package meta;
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions { string tag = 50001; }
extend google.protobuf.MessageOptions { Owner owner = 50002; }
message Owner { string team = 1; }
`;
const TAGGED = `
  option (meta.owner) = { team: "x" };
  string id = 1 [(meta.tag) = "y"];
  google.protobuf.Timestamp at = 2;
`;

it.each([
  [
    'of its own',
    `${OPTIONS} import "google/protobuf/timestamp.proto"; message Tagged { ${TAGGED} }`,
    'meta.Tagged',
    [],
  ],
  [
    'of a reference',
    `syntax = "proto3"; package shop; import "meta/options.proto"; import "google/protobuf/timestamp.proto"; message Tagged { ${TAGGED} }`,
    'shop.Tagged',
    [{ name: 'meta/options.proto', schema: OPTIONS }],
  ],
])('writes messages with options %s', async (_name, schema, message, parts) => {
  const topic = registry.topic('options');
  const references = parts.map((part) => ({ ...part, subject: `${topic}-options` }));
  const writer = await protobuf({
    registry: registry.client(),
    schemas: { [topic]: { schema, message, references } },
  });
  const data = { id: 'a', at: { seconds: 5n, nanos: 0 } };
  const body = Buffer.from(await writer.serialize(data, on(topic)));
  expect(body.subarray(-7).toString('hex')).toBe('0a016112020805');
  const reader = await protobuf({ registry: registry.client() });
  expect(await reader.deserialize(body, on(topic))).toStrictEqual(data);
});

it('reads what an older and a newer program wrote as its own schema', async () => {
  const topic = registry.topic('evolving');
  const one = 'syntax = "proto3"; message E { int32 id = 1; }';
  const two = 'syntax = "proto3"; message E { int32 id = 1; string extra = 2; }';
  const made = (schema: string) =>
    protobuf({ registry: registry.client(), schemas: { [topic]: { schema } } });
  const [old, now] = [await made(one), await made(two)];
  const first = await old.serialize({ id: 1 }, on(topic));
  const second = await now.serialize({ id: 2, extra: 'x' }, on(topic));
  expect(await now.deserialize(first, on(topic))).toStrictEqual({ id: 1, extra: '' });
  expect(await old.deserialize(second, on(topic))).toStrictEqual({ id: 2 });
});

it('refuses an incompatible schema, and says which field broke', async () => {
  const topic = registry.topic('broken');
  const made = (schema: string) =>
    protobuf({ registry: registry.client(), schemas: { [topic]: { schema } } });
  await (await made('syntax = "proto3"; message C { int32 id = 1; }')).serialize({ id: 1 }, on(topic));
  const next = await made('syntax = "proto3"; message C { string id = 1; }');
  const error: any = await Promise.resolve(next.serialize({ id: 'x' }, on(topic))).catch((e) => e);
  expect(ValidationError.is(error)).toBe(true);
  expect(error.message).toContain('field "C.1" was int32 id = 1, and is string id = 1');
});

it('refuses payloads, bodies and options that are wrong', async () => {
  const topic = registry.topic('wrong');
  const schemas = { [topic]: { schema: SHOP } };
  const serializer = await protobuf({ registry: registry.client(), schemas });
  await expect(Promise.resolve(serializer.serialize({ id: 'x' }, on(topic)))).rejects.toThrow('payload.id');
  const body = Buffer.from(await serializer.serialize(order, on(topic)));
  await serializer.deserialize(body, on(topic));
  for (const tail of ['', '02', '0208', '00ffffffff', '000a', '80']) {
    const bytes = Buffer.concat([body.subarray(0, 5), Buffer.from(tail, 'hex')]);
    expect(() => serializer.deserialize(bytes, on(topic)), tail).toThrow(SerializationError);
  }
  for (const entry of [
    { schema: 'message {' },
    { schema: 'syntax = "proto3"; enum A { B = 0; }' },
    { schema: SHOP, message: 'shop.None' },
  ]) {
    await expect(protobuf({ registry: registry.client(), schemas: { a: entry } })).rejects.toThrow(
      ConfigError,
    );
  }
});
