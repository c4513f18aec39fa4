import { createBus, type Serializer } from '@ambus/core';
import { kafka } from '@ambus/kafka';
import { type Server, startServer } from '@ambus/testing';
import { SchemaRegistry as Confluent } from '@kafkajs/confluent-schema-registry';
import { type IHeaders, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { avro } from '../../src/avro/avro.ts';
import { jsonSchema } from '../../src/json/json.ts';
import { registry } from '../support/registry.ts';

const AVRO = { type: 'record', name: 'Order', namespace: 'shop', fields: [{ name: 'id', type: 'int' }] };
const JSON_SCHEMA = { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] };

let server: Server;
const raw = (): Kafka =>
  new Kafka({ brokers: [`${server.host}:${server.port}`], logLevel: logLevel.NOTHING });

beforeAll(async () => {
  server = await startServer('kafka');
});
afterAll(() => server.close());

const connect = (serializer: Serializer) =>
  createBus({
    broker: kafka({ brokers: `${server.host}:${server.port}` }),
    serializer,
    logger: false,
    topics: { 'shop.#': { kafkaTopic: 'shop' } },
  });

/** A producer and a consumer as other teams have them: kafkajs and its registry client, and nothing of ours. */
it.each([
  ['Avro', () => avro({ registry: registry.client(), schemas: { '#': { schema: AVRO } } })],
  [
    'JSON Schema',
    () => jsonSchema({ registry: registry.client(), schemas: { '#': { schema: JSON_SCHEMA } } }),
  ],
])('shares a topic of Kafka with other programs in both directions: %s', async (_name, make) => {
  const topic = `shop.${registry.topic('orders')}`;
  const confluent = new Confluent({ host: registry.server.url });
  await using bus = await connect(await make());
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { group: 'ours' });

  const theirs: { data: unknown; headers: IHeaders | undefined; value: Buffer }[] = [];
  const consumer = raw().consumer({ groupId: `theirs-${topic}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'shop', fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message: { value, headers } }) => {
      if (String(headers?.ce_ambustopic) !== topic) return;
      theirs.push({ data: await confluent.decode(value!), headers, value: value! });
    },
  });

  await bus.publish(topic, { id: 1 });
  await vi.waitFor(() => expect(theirs).toHaveLength(1), 20_000);
  expect({ ...(theirs[0]!.data as object) }).toEqual({ id: 1 });

  const id = await confluent.getLatestSchemaId(`${topic}-value`);
  const producer = raw().producer();
  await producer.connect();
  // Their framing, our name of the topic in its header; the content type says how it is to be read.
  const headers = { ce_ambustopic: topic, 'content-type': theirs[0]!.headers!['content-type'] };
  await producer.send({
    topic: 'shop',
    messages: [{ value: await confluent.encode(id, { id: 2 }), headers }],
  });
  await vi.waitFor(() => expect(got).toEqual([{ id: 1 }, { id: 2 }]), 20_000);
  await Promise.all([consumer.disconnect(), producer.disconnect()]);
});
