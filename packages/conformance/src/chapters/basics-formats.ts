import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BusOptions, json, type Serializer } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { arrival, listen } from '../helpers/listen.ts';

/** A serializer of the application's own: bytes that are neither UTF-8 nor anybody else's format. */
const upsideDown = (contentType: string): Serializer => ({
  contentType,
  serialize: (data) => Buffer.from(JSON.stringify(data)).map((byte) => 0xff - byte),
  deserialize: (body) => JSON.parse(Buffer.from(body.map((byte) => 0xff - byte)).toString()),
});

/** Reads what it has written for the same topic, and nothing else: a schema of its own for each. */
const byTopic = (contentType: string): Serializer => ({
  contentType,
  serialize: (data, { topic }) => Buffer.from(JSON.stringify([topic, data])),
  deserialize(body, { topic }) {
    const [written, data] = JSON.parse(Buffer.from(body).toString());
    assert.equal(topic, written);
    return data;
  },
});

/** As `upsideDown`, and takes its time. */
const slowly = (contentType: string): Serializer => {
  const { serialize, deserialize } = upsideDown(contentType);
  return {
    contentType,
    serialize: async (data, context) => serialize(data, context),
    deserialize: async (body, context) => deserialize(body, context),
  };
};

/** Writes what no reader of `contentType` understands. */
const broken = (contentType: string): Serializer => ({
  contentType,
  serialize: () => Uint8Array.of(0xff, 0x00, 0xc3, 0x28),
  deserialize: () => undefined,
});

const PROTO = `syntax = "proto3";
package shop;
message Order { int32 id = 1; string name = 2; repeated double amounts = 3; bytes raw = 4; }
`;

async function protobufSerializer(t: CaseContext): Promise<Serializer> {
  const folder = await mkdtemp(join(tmpdir(), 'ambus-conformance-'));
  t.cleanup(() => rm(folder, { recursive: true, force: true }));
  const protoPath = join(folder, 'order.proto');
  await writeFile(protoPath, PROTO);
  const { protobuf } = await import('@ambus/core/protobuf');
  return protobuf({ protoPath, defaultType: 'shop.Order' });
}

async function roundTrip(t: CaseContext, options: BusOptions, data: unknown, type: string): Promise<void> {
  const bus = await t.bus(options);
  const topic = t.topic();
  const got = await listen(t, bus, topic);
  const message = await arrival(t, got, () => bus.publish(topic, data));
  assert.deepEqual(message.data, data);
  assert.equal(message.contentType, type);
}

/** How payloads are written, and what becomes of what cannot be read. */
export const basicsFormats: readonly Case[] = chapter('basics', [
  {
    id: 'basics/msgpack',
    name: 'payloads travel as MessagePack, with dates, big integers and bytes inside',
    async run(t) {
      const data = { at: new Date(1_700_000_000_123), big: 2n ** 60n, list: [1, 'two', null], n: 1.5 };
      await roundTrip(t, { serializer: 'msgpack' }, data, 'application/msgpack');
    },
  },
  {
    id: 'basics/protobuf',
    name: 'payloads travel as Protocol Buffers',
    async run(t) {
      const data = { id: 7, name: 'ä', amounts: [1.5, 2], raw: Uint8Array.of(0, 255) };
      const serializer = await protobufSerializer(t);
      await roundTrip(t, { serializer }, data, serializer.contentType);
    },
  },
  {
    id: 'basics/own-serializer',
    name: 'payloads travel in a format of the application, also an asynchronous one',
    async run(t) {
      for (const serializer of [upsideDown('application/x-mine'), slowly('application/x-slow')]) {
        const topic = t.topic(serializer.contentType.slice(14));
        const bus = await t.bus({ serializer });
        const got = await listen(t, bus, topic);
        const message = await arrival(t, got, () => bus.publish(topic, { a: ['ä'] }));
        assert.deepEqual(message.data, { a: ['ä'] });
        assert.equal(message.contentType, serializer.contentType);
      }
    },
  },
  {
    id: 'basics/serializer-by-topic',
    name: 'a topic may have a serializer of its own',
    async run(t) {
      const mine = upsideDown('application/x-mine');
      const bus = await t.bus({ topics: { [t.topic('mine')]: { serializer: mine } } });
      const [mineGot, otherGot] = [
        await listen(t, bus, t.topic('mine')),
        await listen(t, bus, t.topic('other')),
      ];
      const one = await arrival(t, mineGot, () => bus.publish(t.topic('mine'), 1));
      const other = await arrival(t, otherGot, () => bus.publish(t.topic('other'), 2));
      assert.deepEqual([one.data, one.contentType], [1, 'application/x-mine']);
      assert.deepEqual([other.data, other.contentType], [2, 'application/json']);
    },
  },
  {
    id: 'basics/serializer-of-one-type',
    name: 'a topic is read with its own serializer where others have the same content type, also in answers and dead letters',
    async run(t) {
      const [mine, other, dead] = [t.topic('mine'), t.topic('other'), t.topic('dead')];
      const bus = await t.bus({
        topics: { [mine]: { serializer: json({ dates: 'exact', bigints: 'exact' }) } },
        deadLetter: { topic: dead },
        retry: { maxRetries: 0 },
      });
      const data = { at: new Date(5), n: 10n };
      const got = await listen(t, bus, mine);
      assert.deepEqual((await arrival(t, got, () => bus.publish(mine, data))).data, data);
      const plain = await listen(t, bus, other);
      const { data: read } = await arrival(t, plain, () => bus.publish(other, { $date: 'x', at: data.at }));
      assert.deepEqual(read, { $date: 'x', at: '1970-01-01T00:00:00.005Z' });
      if (t.capabilities.request !== 'none') {
        await bus.respond(mine, ({ data: asked }) => [asked]);
        assert.deepEqual((await bus.request(mine, data)).data, [data]);
      }
      const letters = await collectDeadLetters(t, bus, dead);
      const fail = (): never => assert.fail('it is to be a dead letter');
      await bus.subscribe(mine, fail, { group: t.name('failing') });
      assert.deepEqual((await arrival(t, letters, () => bus.publish(mine, data))).data, data);
    },
  },
  {
    id: 'basics/serializer-topic',
    name: 'a serializer is told the same topic on both sides, also for an answer and a dead letter',
    async run(t) {
      const [topic, dead] = [t.topic(), t.topic('dead')];
      const bus = await t.bus({
        serializer: byTopic('application/x-by-topic'),
        deadLetter: { topic: dead },
        retry: { maxRetries: 0 },
      });
      const letters = await collectDeadLetters(t, bus, dead);
      if (t.capabilities.request !== 'none') {
        await bus.respond(topic, ({ data }) => ({ heard: data }));
        assert.deepEqual((await bus.request(topic, 1)).data, { heard: 1 });
        const [answer] = await bus.scatter(topic, 2, { max: 1 });
        assert.deepEqual(answer?.data, { heard: 2 });
      }
      const failing = t.topic('failing');
      const fail = (): never => assert.fail('it is to be a dead letter');
      await bus.subscribe(failing, fail, { group: t.name() });
      const letter = await arrival(t, letters, () => bus.publish(failing, 3));
      assert.equal(letter.data, 3);
    },
  },
  {
    id: 'basics/mixed-serializers',
    name: 'publishers with different serializers share a topic: the content type picks the reader',
    async run(t) {
      const mine = upsideDown('application/x-mine');
      const reader = await t.bus({ serializer: 'msgpack', serializers: [mine] });
      const topic = t.topic();
      const got = await listen(t, reader, topic);
      const senders = await Promise.all([
        t.bus(),
        t.bus({ serializer: 'msgpack' }),
        t.bus({ serializer: mine }),
      ]);
      for (let round = 0; round < 3; round++) {
        for (const [index, sender] of senders.entries()) {
          const message = await arrival(t, got, () => sender.publish(topic, { round, index }));
          assert.deepEqual(message.data, { round, index });
        }
      }
      assert.equal(new Set(got.messages.map(({ contentType }) => contentType)).size, 3);
    },
  },
  {
    id: 'basics/undecodable',
    name: 'what cannot be decoded goes to the dead letters as it came, and the next message is handled',
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const reader = await t.bus({ deadLetter: { topic: dead }, retry: { initialDelay: 10 } });
      const letters = await collectDeadLetters(t, reader, dead);
      const got = await listen(t, reader, topic);
      const bad = await t.bus({ serializer: broken('application/json') });
      const unknown = await t.bus({ serializer: upsideDown('application/x-unknown') });
      const first = await bad.publish(topic, 'not json', { headers: { a: 'b' } });
      const second = await unknown.publish(topic, 'unknown type');
      const next = await arrival(t, got, () => reader.publish(topic, 'good'));
      assert.equal(next.data, 'good');
      await t.until('both are dead letters', () => letters.messages.length >= 2);
      assert.deepEqual(got.data, ['good'], 'no handler saw them');
      const byId = new Map(letters.messages.map((letter) => [letter.failure!.messageId, letter]));
      const one = byId.get(first.id)!;
      assert.deepEqual([...one.body], [0xff, 0x00, 0xc3, 0x28]);
      assert.deepEqual({ ...one.headers }, { a: 'b' });
      assert.equal(one.failure!.reason, 'undecodable');
      assert.equal(one.failure!.attempts, 1);
      assert.equal(one.failure!.error!.name, 'SerializationError');
      const other = byId.get(second.id)!;
      assert.equal(other.failure!.reason, 'undecodable');
      assert.match(other.failure!.error!.message, /application\/x-unknown/);
    },
  },
  {
    id: 'basics/undecodable-compression',
    name: 'a damaged or unknown compression is undecodable, too, and stops nobody',
    power: ['raw'],
    async run(t) {
      const topic = t.topic();
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const letters = await collectDeadLetters(t, bus, dead);
      const got = await listen(t, bus, topic);
      const body = Buffer.from('not compressed at all');
      await t.rawPublish(topic, body, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      await t.rawPublish(topic, body, { 'content-type': 'application/json', 'content-encoding': 'lzw' });
      await t.until('both are dead letters', () => letters.messages.length >= 2);
      for (const letter of letters.messages) {
        assert.ok(body.equals(letter.body), 'as it came');
        assert.equal(letter.failure!.reason, 'undecodable');
      }
      const next = await arrival(t, got, () => bus.publish(topic, 'good'));
      assert.equal(next.data, 'good');
    },
  },
]);
