import { BusError, createBus, type Message, type Serializer } from '@ambus/core';
import { MemoryHub, memory } from '@ambus/memory';
import { expect, it, vi } from 'vitest';
import { avro } from '../../src/avro/avro.ts';
import { schemaRegistry } from '../../src/index.ts';
import { jsonSchema } from '../../src/json/json.ts';
import { protobuf } from '../../src/protobuf/protobuf.ts';
import { registry } from '../support/registry.ts';

const AVRO = { type: 'record', name: 'T', fields: [{ name: 'id', type: 'int' }] };
const JSON_SCHEMA = { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] };
const PROTO = 'syntax = "proto3"; message T { int32 id = 1; }';

const connect = (hub: MemoryHub, serializer: Serializer, serializers: Serializer[] = []) =>
  createBus({ broker: memory({ hub }), serializer, serializers, logger: false, topics: { '#': {} } });

it('carries all three on one topic, each read by its content type', async () => {
  const topic = registry.topic('mixed');
  const client = registry.client();
  const made: Serializer[] = [
    await avro({ registry: client, schemas: { '#': { schema: AVRO, subject: `${topic}-a` } } }),
    await protobuf({ registry: client, schemas: { '#': { schema: PROTO, subject: `${topic}-p` } } }),
    await jsonSchema({ registry: client, schemas: { '#': { schema: JSON_SCHEMA, subject: `${topic}-j` } } }),
  ];
  const hub = new MemoryHub();
  const readers = [
    await avro({ registry: registry.client() }),
    await protobuf({ registry: registry.client() }),
  ];
  await using reader = await connect(hub, await jsonSchema({ registry: registry.client() }), readers);
  const got: Message[] = [];
  await reader.subscribe(topic, (message) => void got.push(message), { group: 'g' });
  for (const [index, serializer] of made.entries()) {
    await using writer = await connect(hub, serializer);
    await writer.publish(topic, { id: index });
  }
  await vi.waitFor(() => expect(got).toHaveLength(3));
  expect(new Set(got.map(({ contentType, data }) => `${contentType} ${data.id}`))).toEqual(
    new Set([
      'application/vnd.confluent.avro 0',
      'application/vnd.confluent.protobuf 1',
      'application/vnd.confluent.json 2',
    ]),
  );
});

it('refuses to publish while the registry is away, before anything is sent, and can be tried again', async () => {
  const topic = registry.topic('away');
  await using proxy = await registry.server.proxy();
  const client = schemaRegistry({ url: proxy.url, timeout: 500 });
  const hub = new MemoryHub();
  await using bus = await connect(hub, await avro({ registry: client, schemas: { '#': { schema: AVRO } } }));
  proxy.cut();
  const error: unknown = await bus.publish(topic, { id: 1 }).catch((error: unknown) => error);
  expect(BusError.is(error) && error.retryable).toBe(true);
  expect(hub.records(topic)).toEqual([]);
  proxy.restore();
  await bus.publish(topic, { id: 1 });
  expect(hub.records(topic)).toHaveLength(1);
});

it('keeps what arrives while the registry is away, in order, and handles it when it is back', async () => {
  const topic = registry.topic('waiting');
  const hub = new MemoryHub();
  const schemas = { '#': { schema: AVRO } };
  await using writer = await connect(hub, await avro({ registry: registry.client(), schemas }));
  await using proxy = await registry.server.proxy();
  proxy.cut();
  const client = schemaRegistry({ url: proxy.url, timeout: 300 });
  await using reader = await connect(hub, await avro({ registry: client }));
  const got: unknown[] = [];
  await reader.subscribe(topic, ({ data, attempt }) => void got.push([data.id, attempt]), {
    group: 'g',
    retry: { maxRetries: 1, initialDelay: 10 },
  });
  for (const id of [1, 2, 3]) await writer.publish(topic, { id }, { key: 'k' });
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  expect(got).toEqual([]);
  expect(reader.stats().deadLettered).toBe(0);
  proxy.restore();
  await vi.waitFor(() => expect(got).toHaveLength(3), 5_000);
  expect(got).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
});

it('sends an unknown id and a damaged body to the dead letters, as they came', async () => {
  const topic = registry.topic('dead');
  const hub = new MemoryHub();
  const serializer = await avro({ registry: registry.client(), schemas: { '#': { schema: AVRO } } });
  await using bus = await connect(hub, serializer);
  await bus.subscribe(topic, () => {}, { group: 'g' });
  const foreign = { ...serializer, contentType: serializer.contentType };
  for (const body of ['00770000010000', '00ffffffff02', '0000000000', '01', '00000001']) {
    await using other = await connect(hub, {
      ...foreign,
      serialize: () => Buffer.from(body, 'hex'),
      deserialize: () => undefined,
    });
    await other.publish(topic, {});
  }
  await vi.waitFor(() => expect(bus.stats().deadLettered).toBe(5));
  const { items } = await bus.deadLetters.list();
  expect(items.map(({ reason, body }) => [reason, Buffer.from(body).toString('hex')]).sort()).toEqual([
    ['undecodable', '0000000000'],
    ['undecodable', '00000001'],
    ['undecodable', '00770000010000'],
    ['undecodable', '00ffffffff02'],
    ['undecodable', '01'],
  ]);
});

it('answers requests, and errors', async () => {
  const topic = registry.topic('ask');
  const hub = new MemoryHub();
  const serializer = await avro({ registry: registry.client(), schemas: { '#': { schema: AVRO } } });
  await using bus = await connect(hub, serializer);
  await bus.respond(topic, ({ data }) => {
    if (data.id === 0) throw new Error('zero');
    return { id: data.id + 1 };
  });
  expect((await bus.request(topic, { id: 1 }, { timeout: 2_000 })).data).toEqual({ id: 2 });
  await expect(bus.request(topic, { id: 0 }, { timeout: 2_000 })).rejects.toThrow('zero');
});
