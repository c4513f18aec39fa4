import assert from 'node:assert/strict';
import { type Case, chapter } from '../case.ts';
import { settled } from '../helpers/groups.ts';
import { numbers } from '../helpers/sequence.ts';

/** What nobody's headers should hold, and somebody's do. */
const STRANGE = [
  '',
  ' ',
  'garbage',
  '-1',
  '99999999999999999999',
  '{"',
  '[]',
  'null',
  '\u00e4\u{1f600}',
  'x'.repeat(2_000),
];

/** What other programs write onto the bus's topics. */
export const faultsRaw: readonly Case[] = chapter('faults', [
  {
    id: 'faults/garbage-bodies',
    name: 'bodies that are not what they say stop nobody: each is handled or dead-lettered, byte for byte',
    power: ['raw'],
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const topic = t.topic();
      const group = t.name();
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle, { concurrency: 10 });
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group, concurrency: 10, retry: { delays: [10] } });
      const bodies = numbers(60).map((n) =>
        Uint8Array.from(numbers(n), (i) => (i * 89 + n * 31 + 200) % 256),
      );
      for (const [n, body] of bodies.entries()) {
        await t.rawPublish(topic, body, { 'content-type': 'application/json', number: String(n) });
        if (n % 10 === 0) await bus.publish(topic, n);
      }
      const count = bodies.length + bodies.length / 10;
      await t.until('each ended somewhere', () => got.messages.length + letters.messages.length >= count);
      await settled(t, bus, topic, group);
      for (const letter of letters.messages) {
        assert.equal(letter.failure!.reason, 'undecodable');
        assert.equal(letter.failure!.topic, topic);
        const body = bodies[Number(letter.headers.number)]!;
        assert.equal(Buffer.compare(letter.body, body), 0, 'the bytes are those that came');
      }
      assert.ok(letters.messages.length > 30, 'most of them are no JSON');
      const sent = got.messages.filter(({ headers }) => headers.number === undefined);
      assert.deepEqual(
        sent.map(({ data }) => data).sort((a, b) => Number(a) - Number(b)),
        [0, 10, 20, 30, 40, 50],
      );
    },
  },
  {
    id: 'faults/garbage-metadata',
    name: 'whatever a foreign producer writes into the metadata stops nobody: each is handled, expired or dead-lettered',
    power: ['raw'],
    timeout: 60_000,
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const [topic, sample] = [t.topic(), t.topic('sample')];
      const group = t.name();
      const options = {
        headers: { a: 'b' },
        key: 'k',
        correlationId: 'c',
        causationId: 'd',
        ttl: 600_000,
        retry: { maxRetries: 1 },
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'a=b',
        dataSchema: 'https://example.org/schema',
      } as const;
      await bus.publish(sample, { n: 1 }, options);
      const [good] = await t.rawRead(sample);
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle, { concurrency: 50 });
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group, concurrency: 50, retry: { delays: [10] } });
      let sent = 0;
      for (const name of Object.keys(good!.headers)) {
        for (const value of STRANGE) {
          await t.rawPublish(topic, good!.body, { ...good!.headers, [name]: value });
          sent++;
        }
        const { [name]: _, ...without } = good!.headers;
        await t.rawPublish(topic, good!.body, without);
        sent++;
      }
      assert.ok(sent > 50, `only ${sent} variants: the raw client shows too little`);
      const ended = (): number => got.messages.length + letters.messages.length + bus.stats().expired;
      await t.until('each ended somewhere', () => ended() >= sent, 30_000);
      await bus.publish(topic, 'marker');
      await t.until('the marker came', () => got.data.includes('marker'));
      await settled(t, bus, topic, group);
      t.note('handled', got.messages.length - 1);
      t.note('dead-lettered', letters.messages.length);
    },
  },
]);
