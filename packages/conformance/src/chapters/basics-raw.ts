import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { collectDeadLetters } from '../helpers/dead-letters.ts';
import { arrival, listen } from '../helpers/listen.ts';

/** The wire, seen from outside. */
export const basicsRaw: readonly Case[] = chapter('basics', [
  {
    id: 'basics/raw-client-reads',
    name: 'the raw client reads what the bus wrote: the body alone, and the metadata by its CloudEvents names',
    power: ['raw'],
    async run(t) {
      const bus = await t.bus({ source: '/services/test' });
      const topic = t.topic();
      await listen(t, bus, topic);
      const options = {
        type: 'com.example.created',
        correlationId: 'c-1',
        dataSchema: 'https://example.com/s.json',
        headers: { tenant: 'ä7' },
      };
      const { id } = await bus.publish(topic, { n: 1 }, options);
      await bus.publish(topic, Uint8Array.of(0, 255, 128));
      const [first, second] = await t.until('both lie there', async () => {
        const all = await t.rawRead(topic);
        return all.length >= 2 ? all : undefined;
      });
      assert.equal(Buffer.from(first!.body).toString(), '{"n":1}');
      const { headers } = first!;
      assert.equal(headers.ce_id, id);
      assert.equal(headers.ce_source, '/services/test');
      assert.equal(headers.ce_type, 'com.example.created');
      assert.equal(headers.ce_dataschema, 'https://example.com/s.json');
      assert.equal(headers['content-type'], 'application/json');
      assert.ok(Math.abs(Date.parse(headers.ce_time!) - Date.now()) < 60_000, 'ce_time is an RFC 3339 time');
      assert.equal(headers.tenant, 'ä7');
      assert.deepEqual([...second!.body], [0, 255, 128]);
      assert.equal(second!.headers['content-type'], 'application/octet-stream');
    },
  },
  {
    id: 'basics/raw-client-writes',
    name: 'the bus reads what a raw CloudEvents producer wrote, with its metadata and headers',
    power: ['raw'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const headers = {
        ce_id: 'foreign-1',
        ce_source: '/other/language',
        ce_type: 'com.example.foreign',
        ce_time: '2026-01-31T12:00:00.123Z',
        ce_dataschema: 'https://example.com/s.json',
        'content-type': 'application/json; charset=utf-8',
        tenant: '7',
      };
      const message = await arrival(t, got, () => t.rawPublish(topic, Buffer.from('{"n": 1}'), headers));
      assert.deepEqual(message.data, { n: 1 });
      assert.equal(message.id, 'foreign-1');
      assert.equal(message.source, '/other/language');
      assert.equal(message.type, 'com.example.foreign');
      assert.equal(message.dataSchema, 'https://example.com/s.json');
      assert.equal(message.time.toISOString(), '2026-01-31T12:00:00.123Z');
      assert.equal(message.contentType, headers['content-type']);
      assert.equal(message.headers.tenant, '7');
      assert.equal(message.attempt, 1);
      const event = { ...headers, 'content-type': 'application/cloudevents+json' };
      const suffixed = await arrival(t, got, () => t.rawPublish(topic, Buffer.from('[2]'), event));
      assert.deepEqual(suffixed.data, [2], 'what ends in +json is JSON');
    },
  },
  {
    id: 'basics/foreign-message',
    name: 'a message of a producer that has never heard of the bus is delivered as bytes',
    power: ['raw'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<Uint8Array>(t, bus, topic);
      const live = await listen<Uint8Array>(t, bus, topic, { group: undefined });
      for (const text of ['plain text', '{"json": "perhaps"}', '']) {
        const body = Buffer.from(text);
        const message = await arrival(t, got, () => t.rawPublish(topic, body));
        assert.ok(message.data instanceof Uint8Array && body.equals(message.data), 'the bytes as they came');
        assert.equal(message.contentType, undefined);
        assert.equal(message.topic, topic);
        assert.equal(message.priority, 'normal');
        assert.equal(message.attempt, 1);
        assert.equal(typeof message.id, 'string');
        assert.ok(message.id.length > 0, 'an id');
        assert.ok(!Number.isNaN(message.time.getTime()), 'a time');
        assert.equal(message.key, undefined);
      }
      await t.until('live, too', () => live.messages.length >= 3);
      assert.equal(new Set(got.messages.map(({ id }) => id)).size, 3, 'ids of their own');
    },
  },
  {
    id: 'basics/foreign-message-fails',
    name: 'a foreign message is retried and dead-lettered like any other, byte for byte',
    power: ['raw'],
    async run(t) {
      const dead = t.topic('dead');
      const retry = { maxRetries: 1, initialDelay: 10 };
      const bus = await t.bus({ deadLetter: { topic: dead }, retry });
      const letters = await collectDeadLetters(t, bus, dead);
      const topic = t.topic();
      const attempts: number[] = [];
      const ids = new Set<string>();
      await bus.subscribe(
        topic,
        ({ attempt, id }) => {
          attempts.push(attempt);
          ids.add(id);
          throw new Error('cannot handle it');
        },
        { group: t.name() },
      );
      const body = Uint8Array.of(0xff, 0, 0xc3);
      await t.rawPublish(topic, body);
      await t.until('it is a dead letter', () => letters.messages.length > 0);
      assert.deepEqual(attempts, [1, 2]);
      assert.equal(ids.size, 1, 'its id stays the same');
      const [letter] = letters.messages;
      assert.deepEqual([...letter!.body], [...body]);
      assert.equal(letter!.failure!.topic, topic);
      assert.equal(letter!.failure!.messageId, [...ids][0]);
      assert.equal(letter!.contentType, undefined);
    },
  },
  {
    id: 'basics/foreign-metadata-is-broken',
    name: 'foreign metadata that makes no sense stops nobody',
    power: ['raw'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const headers = { ce_id: '', ce_time: 'yesterday', 'content-type': '' };
      await t.rawPublish(topic, Buffer.from('x'), headers).catch(() => {});
      await t.rawPublish(topic, Buffer.from('1'), { 'content-type': 'APPLICATION/JSON ;q=1' });
      const next = await arrival(t, got, () => bus.publish(topic, 'good'));
      await t.until('the good one came', () => got.data.includes('good') && got.data.includes(1));
      assert.ok(next !== undefined);
    },
  },
]);
