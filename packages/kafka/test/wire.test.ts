import zlib from 'node:zlib';
import { type Bus, createBus } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { CompressionCodecs, CompressionTypes, type Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { murmur2, partitionOf } from '../src/wire/murmur2.ts';
import { headersOf, rawKafka, readAll, send } from './support/client.ts';
import * as lz4 from './support/lz4.ts';
import * as snappy from './support/snappy.ts';
import { startKafka } from './support/start.ts';

let server: Server;
let raw: Kafka;
beforeAll(async () => {
  server = await startKafka();
  raw = rawKafka(`${server.host}:${server.port}`);
});
afterAll(() => server.close());

const makeBus = (options: KafkaOptions = {}): Promise<Bus> =>
  createBus({
    broker: kafka({ brokers: `${server.host}:${server.port}`, partitions: 4, ...options }),
    source: 'shop',
    topics: { 'ephemeral.#': { durability: 'ephemeral' } },
  });

describe('murmur2', () => {
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is that of the Java client', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
    expect(partitionOf(Buffer.from(text), 7)).toBe((hash & 0x7fffffff) % 7);
  });
});

describe('a message that a bus publishes', () => {
  it('is the body, the key, and the headers of CloudEvents', async () => {
    await using bus = await makeBus();
    const publish = { id: 'one', key: 'tenant-7', headers: { plain: 'ä', ce_id: 'mine' } };
    await bus.publish('wire_1.sent-a', { id: 42 }, publish);
    const [message] = await readAll(raw, ['ambus.wire-u1.sent--a'], 1);
    expect([String(message!.key), String(message!.value), message!.partition]).toEqual([
      'tenant-7',
      '{"id":42}',
      partitionOf(Buffer.from('tenant-7'), 4),
    ]);
    const { ce_time: time, ...headers } = headersOf(message!);
    expect(headers).toEqual({
      ce_specversion: '1.0',
      ce_ambustopic: 'wire_1.sent-a',
      ce_id: 'one',
      ce_source: 'shop',
      ce_type: 'wire_1.sent-a',
      ce_partitionkey: 'tenant-7',
      'content-type': 'application/json',
      plain: 'ä',
      ambus_ce_id: 'mine',
    });
    expect(Math.abs(Date.parse(time!) - Number(message!.timestamp))).toBeLessThan(2_000);
  });

  it('of another kind lies beside the topic', async () => {
    await using bus = await makeBus();
    const delay = 60_000;
    const before = Date.now();
    await bus.publish('kinds', 1, { priority: 'critical' });
    await bus.publish('kinds', 2, { delay });
    await bus.publish('kinds', 3, { delivery: 'exactly-once', idempotencyKey: 'once' });
    await bus.publish('ephemeral.kinds', 4);
    await bus.respond('kinds', () => 5);
    await bus.request('kinds', 5);
    const names = ['.-p0', '.-d', '.-x', '.-r'].map((kind) => `ambus.kinds${kind}`);
    const found = await readAll(raw, [...names, 'ambus.ephemeral.kinds.-e'], 5);
    const places = Object.fromEntries(found.map(({ topic, value }) => [topic, String(value)]));
    expect(places).toEqual({
      'ambus.kinds.-p0': '1',
      'ambus.kinds.-d': '2',
      'ambus.kinds.-x': '3',
      'ambus.ephemeral.kinds.-e': '4',
      'ambus.kinds.-r': '5',
    });
    const of = (kind: string) => found.find(({ topic }) => topic === `ambus.kinds.-${kind}`)!;
    expect(Number(of('d').timestamp) - before).toBeGreaterThanOrEqual(delay);
    expect(headersOf(of('x')).ce_ambusdeduplication).toBe('once');
    expect(headersOf(of('r')).ce_ambusreplyto).toMatch(/^\d\.[-0-9a-f]{36}$/);
    const [reply] = await readAll(raw, ['ambus.-replies'], 1);
    expect(String(reply!.key)).toBe(headersOf(of('r')).ce_ambusreplyto);
  });

  it('is taken back by a record without a value', async () => {
    await using bus = await makeBus();
    const receipt = await bus.publish('taken', 1, { delay: 60_000 });
    expect(await bus.cancel(receipt)).toBe(true);
    const [, note] = await readAll(raw, ['ambus.taken.-d'], 2);
    expect([note!.value, headersOf(note!)]).toEqual([null, { 'ambus-kafka-cancel': receipt.id }]);
  });
});

describe('a message of another program', () => {
  it('is read, with the headers of CloudEvents or without any', async () => {
    await using bus = await makeBus();
    const seen: { id: string; key: string | undefined; headers: object; data: unknown }[] = [];
    await bus.subscribe('foreign', (message) => void seen.push(message), { group: 'g' });
    const headers = { ce_id: 'theirs', ce_type: 'made', 'content-type': 'application/json', own: '100%' };
    const partition = 2;
    await send(raw, {
      topic: 'ambus.foreign',
      messages: [
        { value: '{"n":1}', key: 'k', headers, partition },
        { value: 'plain', partition },
      ],
    });
    await vi.waitFor(() => expect(seen).toHaveLength(2), 5_000);
    const [theirs, bare] = seen;
    expect([theirs!.id, theirs!.key, { ...theirs!.headers }, theirs!.data]).toEqual([
      'theirs',
      'k',
      { own: '100%' },
      { n: 1 },
    ]);
    expect([bare!.id, Buffer.from(bare!.data as Uint8Array).toString()]).toEqual([
      'ambus.foreign/2/1',
      'plain',
    ]);
  });
});

describe('a compressed batch', () => {
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => zlib.zstdCompressSync(buffer),
    decompress: async (buffer: Buffer) => zlib.zstdDecompressSync(buffer),
  });
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => snappy.compress(buffer),
    decompress: async (buffer: Buffer) => snappy.decompress(buffer),
  });
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => lz4.compress(buffer),
    decompress: async (buffer: Buffer) => lz4.decompress(buffer),
  });

  it.each(['gzip', 'zstd', 'snappy', 'lz4'])('of Java by %s is read', async (compression) => {
    // The server packs anew what comes otherwise, with the codecs of the Java client.
    const topics = { packed: { kafkaConfig: { 'compression.type': compression } } };
    const broker = kafka({ brokers: `${server.host}:${server.port}`, codecs: { snappy, lz4 } });
    await using bus = await createBus({ broker, topics, prefix: `java-${compression}` });
    const bodies = ['', 'a', 'xyz'.repeat(60_000), Array.from({ length: 9_000 }, Math.random).join()];
    const seen: unknown[] = [];
    await bus.subscribe('packed', ({ data }) => void seen.push(data), { group: 'g' });
    await Promise.all(bodies.map((body) => bus.publish('packed', body, { key: 'k' })));
    await vi.waitFor(() => expect(seen).toEqual(bodies), 5_000);
  });

  it.each([
    ['gzip', CompressionTypes.GZIP],
    ['zstd', CompressionTypes.ZSTD],
    ['snappy', CompressionTypes.Snappy],
    ['lz4', CompressionTypes.LZ4],
  ] as const)('by %s is read and written', async (compression, type) => {
    await using bus = await makeBus({ compression, codecs: { snappy, lz4 } });
    const topic = `packed.${compression}`;
    const body = 'x'.repeat(100_000);
    const publishes = ['a', 'b', 'c'].map((name) => bus.publish(topic, `${name}${body}`, { key: 'k' }));
    await Promise.all(publishes);
    const values = (await readAll(raw, [`ambus.${topic}`], 3)).map(({ value }) => String(value));
    expect(values).toEqual(['a', 'b', 'c'].map((name) => JSON.stringify(`${name}${body}`)));

    const seen: string[] = [];
    await bus.subscribe(topic, ({ data }) => void seen.push(String(data).slice(0, 1)), {
      group: 'g',
      from: 'earliest',
    });
    const headers = { 'content-type': 'application/json' };
    const messages = ['d', 'e'].map((name) => ({ key: 'k', value: JSON.stringify(name + body), headers }));
    await send(raw, { topic: `ambus.${topic}`, compression: type, messages });
    await vi.waitFor(() => expect(seen.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']), 5_000);
  });
});
