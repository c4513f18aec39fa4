import assert from 'node:assert/strict';
import type { Bus, Message, Priority, PublishOptions } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import { arrival, listen } from '../helpers/listen.ts';
import { numbers } from '../helpers/sequence.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** Everything about a message that its publisher chooses. */
const CHOSEN = [
  'id',
  'key',
  'type',
  'source',
  'correlationId',
  'causationId',
  'dataSchema',
  'traceparent',
  'tracestate',
] as const satisfies readonly (keyof Message & keyof PublishOptions)[];

const OPTIONS: PublishOptions = {
  headers: { a: 'b', 'x-tenant': '7' },
  key: 'customer 7/ä',
  type: 'com.example.created',
  source: '/services/test',
  correlationId: 'conversation-1',
  causationId: 'cause-1',
  dataSchema: 'https://example.com/schemas/created.json',
  traceparent: TRACEPARENT,
  tracestate: 'vendor=value,other=1',
};

/** Messages as such: what goes in comes out. */
export const basics: readonly Case[] = chapter('basics', [
  {
    id: 'basics/round-trip',
    name: 'what is published arrives, with its data, headers and metadata',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      const before = Date.now();
      const options = { ...OPTIONS, id: t.name('id'), ttl: 60_000 };
      const message = await arrival(t, got, () => bus.publish(topic, { n: 1 }, options));
      const after = Date.now();
      assert.equal(message.topic, topic);
      assert.deepEqual(message.data, { n: 1 });
      assert.deepEqual({ ...message.headers }, options.headers);
      for (const name of CHOSEN) assert.equal(message[name], options[name], name);
      assert.equal(Buffer.from(message.body).toString(), '{"n":1}');
      assert.equal(message.contentType, 'application/json');
      assert.equal(message.contentEncoding, undefined);
      assert.equal(message.priority, 'normal');
      assert.equal(message.delivery, 'at-least-once');
      assert.equal(message.attempt, 1);
      assert.equal(message.group, t.name());
      assert.equal(message.failure, undefined);
      assert.equal(message.replyTo, undefined);
      assert.equal(message.expiresAt!.getTime(), message.time.getTime() + 60_000);
      assert.ok(message.time.getTime() >= before && message.time.getTime() <= after, 'its time');
    },
  },
  {
    id: 'basics/defaults',
    name: 'what is not given has its default',
    async run(t) {
      const bus = await t.bus({ source: 'a-service' });
      const topic = t.topic();
      const got = await listen(t, bus, topic, { group: undefined });
      const message = await arrival(t, got, async () => {
        const receipt = await bus.publish(topic, 'x');
        assert.equal(receipt.topic, topic);
        assert.match(receipt.id, UUID_V7);
        assert.equal(receipt.id, (await t.until('it came', () => got.messages[0])).id);
      });
      assert.equal(message.type, topic);
      assert.equal(message.source, 'a-service');
      assert.deepEqual({ ...message.headers }, {});
      assert.equal(message.group, undefined);
      for (const name of [
        'key',
        'correlationId',
        'causationId',
        'dataSchema',
        'traceparent',
        'tracestate',
        'expiresAt',
        'failure',
      ] as const) {
        assert.equal(message[name], undefined, name);
      }
    },
  },
  {
    id: 'basics/100-distinct',
    name: '100 messages at once keep each its own metadata',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<number>(t, bus, topic, { concurrency: 10 });
      const sent = numbers(100).map((n) => ({
        ...Object.fromEntries(CHOSEN.map((name) => [name, `${name}-${n}`])),
        traceparent: TRACEPARENT.replace(/..-01$/, `${String(n).padStart(2, '0')}-01`),
        headers: { n: String(n), [`only-${n}`]: '1' },
        // Some have none of one kind, so that nothing is taken over from a neighbour.
        ...(n % 3 === 0 ? { key: undefined, correlationId: undefined, headers: undefined } : undefined),
      }));
      const receipts = await Promise.all(sent.map((options, n) => bus.publish(topic, n, options)));
      await t.until('all came', () => got.messages.length >= 100);
      assert.equal(new Set(got.data).size, 100);
      for (const message of got.messages) {
        const options: PublishOptions = sent[message.data]!;
        assert.equal(message.id, receipts[message.data]!.id);
        for (const name of CHOSEN) assert.equal(message[name], options[name], `${name} of ${message.data}`);
        assert.deepEqual({ ...message.headers }, { ...options.headers });
      }
    },
  },
  {
    id: 'basics/priorities-arrive',
    name: 'a message knows its priority, given by name or by level',
    needs: ['priority'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen<Priority>(t, bus, topic);
      const names = ['critical', 'high', 'normal', 'low', 'background'] as const;
      for (const [level, name] of names.entries()) {
        const byName = await arrival(t, got, () => bus.publish(topic, name, { priority: name }));
        assert.equal(byName.priority, name);
        const options = { priority: level as 0 | 1 | 2 | 3 | 4 };
        const byLevel = await arrival(t, got, () => bus.publish(topic, name, options));
        assert.equal(byLevel.priority, name);
      }
    },
  },
  {
    id: 'basics/caused-messages',
    name: 'a message published through another carries on its correlation, cause and trace',
    async run(t) {
      const bus = await t.bus();
      const [first, second] = [t.topic('first'), t.topic('second')];
      const got = await listen(t, bus, second);
      await bus.subscribe(first, (message) => message.publish(second, message.data), { group: t.name() });
      const options = { traceparent: TRACEPARENT, tracestate: 'a=b' };
      const root = await bus.publish(first, 1, options);
      const root2 = await bus.publish(first, 2, { correlationId: 'c' });
      await t.until('both came', () => got.messages.length >= 2);
      const [one, two] = got.messages.toSorted((a, b) => Number(a.data) - Number(b.data));
      assert.equal(one!.correlationId, root.id);
      assert.equal(one!.causationId, root.id);
      assert.equal(one!.traceparent, TRACEPARENT);
      assert.equal(one!.tracestate, 'a=b');
      assert.equal(two!.correlationId, 'c');
      assert.equal(two!.causationId, root2.id);
    },
  },
  {
    id: 'basics/own-id-twice',
    name: 'two messages with the same id are two messages, unless exactly-once is asked for',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const got = await listen(t, bus, topic);
      await bus.publish(topic, 1, { id: 'same' });
      await bus.publish(topic, 2, { id: 'same' });
      await t.until('both came', () => got.data.length >= 2);
      assert.deepEqual(got.data.toSorted(), [1, 2]);
    },
  },
  {
    id: 'basics/capabilities',
    name: 'capabilities are complete, frozen, and the same for every bus',
    async run(t) {
      const [one, other] = [await t.bus(), await t.bus()];
      const { limits, ...features } = one.capabilities;
      assert.ok(Object.isFrozen(one.capabilities) && Object.isFrozen(limits), 'frozen');
      assert.deepEqual(one.capabilities, other.capabilities);
      assert.equal(one.broker, t.broker);
      const expected = [
        'admin',
        'browse',
        'cancel',
        'deduplication',
        'delay',
        'durable',
        'ephemeral',
        'expiry',
        'keyOrder',
        'leases',
        'noResponders',
        'priority',
        'replay',
        'replayFromDate',
        'request',
        'retryDelay',
        'transactions',
        'wildcards',
      ];
      assert.deepEqual(Object.keys(features).toSorted(), expected);
      for (const [name, support] of Object.entries(features)) {
        assert.ok(['native', 'emulated', 'none'].includes(support), `${name} is ${support}`);
      }
      for (const name of ['maxBodyBytes', 'maxHeaderBytes', 'maxNativeDelay', 'maxBatch', 'lease'] as const) {
        assert.ok(limits[name] >= 0, `${name} is ${limits[name]}`);
      }
    },
  },
  {
    id: 'basics/first-use-connects',
    name: 'a bus connects with its first use, whatever that is, and once',
    async run(t) {
      const { admin, browse } = t.capabilities;
      const uses: Readonly<Record<string, (bus: Bus) => Promise<unknown>>> = {
        connect: (bus) => bus.connect(),
        publish: (bus) => bus.publish(t.topic(), 1),
        publishMany: (bus) => bus.publishMany([{ topic: t.topic(), data: 1 }]),
        subscribe: (bus) => bus.subscribe(t.topic(), () => {}),
        receive: (bus) => bus.receive(t.topic(), { group: t.name(), timeout: 0 }),
        ...(admin === 'none' ? {} : { admin: (bus: Bus) => bus.admin.listTopics() }),
        ...(browse === 'none' ? {} : { deadLetters: (bus: Bus) => bus.deadLetters.list() }),
      };
      for (const [name, use] of Object.entries(uses)) {
        const bus = await t.bus();
        let connected = 0;
        bus.on('connected', () => connected++);
        await use(bus);
        await use(bus);
        assert.equal(connected, 1, name);
      }
    },
  },
]);
