import assert from 'node:assert/strict';
import type { BusEvents, DeliveryMode } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { settled } from '../helpers/groups.ts';

/** A handler that always fails, at most once: tried once, reported, gone. */
async function atMostOnce(t: CaseContext, side: 'publish' | 'subscribe'): Promise<void> {
  const dead = t.topic('dead');
  const bus = await t.bus({ deadLetter: { topic: dead }, retry: { initialDelay: 10 } });
  const topic = t.topic();
  const group = t.name();
  const letters = t.collector();
  await bus.subscribe(dead, letters.handle);
  const mode: { delivery?: DeliveryMode } = { delivery: 'at-most-once' };
  const tried: unknown[] = [];
  const dropped: BusEvents['message.dropped'][] = [];
  bus.on('message.dropped', (event) => dropped.push(event));
  await bus.subscribe(
    topic,
    ({ data }) => {
      tried.push(data);
      throw new Error('fails');
    },
    { group, ...(side === 'subscribe' ? mode : undefined) },
  );
  const { id } = await bus.publish(topic, 1, side === 'publish' ? mode : undefined);
  await bus.publish(topic, 2, side === 'publish' ? mode : undefined);
  await t.until('both were dropped', () => dropped.length === 2);
  await settled(t, bus, topic, group);
  assert.deepEqual(tried, [1, 2]);
  assert.equal(dropped[0]!.id, id);
  assert.equal(dropped[0]!.topic, topic);
  assert.equal(bus.stats().dropped, 2);
  assert.equal(bus.stats().retried, 0);
  assert.deepEqual(letters.data, []);
}

const once: readonly Case[] = [
  {
    id: 'delivery/at-most-once-subscription',
    name: 'at most once, a failing message is not retried and not dead-lettered but reported as dropped',
    run: (t) => atMostOnce(t, 'subscribe'),
  },
  {
    id: 'delivery/at-most-once-message',
    name: 'a publisher can ask for at most once for its own message',
    run: (t) => atMostOnce(t, 'publish'),
  },
  {
    id: 'delivery/at-most-once-acks-first',
    name: 'at most once, the message is acked before its handler runs',
    needs: ['admin'],
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const group = t.name();
      const done = Promise.withResolvers<void>();
      t.cleanup(() => done.resolve());
      let running = false;
      const handle = (): Promise<void> => {
        running = true;
        return done.promise;
      };
      await bus.subscribe(topic, handle, { group, delivery: 'at-most-once' });
      await bus.publish(topic, 1);
      await t.until('the handler runs', () => running);
      await settled(t, bus, topic, group);
    },
  },
  {
    id: 'delivery/at-most-once-crash',
    name: 'at most once, a message whose consumer died in the handler does not come again',
    power: ['crash'],
    async run(t) {
      const { bus: doomed, broker } = await t.busWithBroker();
      const topic = t.topic();
      const group = t.name();
      let running = false;
      const end = Promise.withResolvers<void>();
      t.cleanup(() => end.resolve());
      await doomed.subscribe(
        topic,
        () => {
          running = true;
          return end.promise;
        },
        { group, delivery: 'at-most-once' },
      );
      const bus = await t.bus();
      await bus.publish(topic, 'dies');
      await t.until('the handler runs', () => running);
      await t.server.crash!(broker);
      const got = t.collector();
      await bus.subscribe(topic, got.handle, { group });
      await bus.publish(topic, 'marker');
      await t.until('the marker came', () => got.data.includes('marker'), 15_000);
      await settled(t, bus, topic, group);
      assert.deepEqual(got.data, ['marker']);
    },
  },
  {
    id: 'delivery/causation',
    name: 'what a handler publishes says what caused it, and keeps the correlation and the trace',
    async run(t) {
      const bus = await t.bus();
      const [cause, effect] = [t.topic('cause'), t.topic('effect')];
      const got = t.collector();
      await bus.subscribe(effect, got.handle, { group: t.name() });
      await bus.subscribe(cause, (message) => message.publish(effect, message.data), { group: t.name() });
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const given = { correlationId: 'talk', traceparent, tracestate: 'a=b' };
      const first = await bus.publish(cause, 1, given);
      const second = await bus.publish(cause, 2);
      await t.until('both effects came', () => got.messages.length === 2);
      const [one, two] = got.messages.toSorted((a, b) => (a.data as number) - (b.data as number));
      assert.equal(one!.causationId, first.id);
      assert.equal(one!.correlationId, 'talk');
      assert.equal(one!.traceparent, traceparent);
      assert.equal(one!.tracestate, 'a=b');
      assert.equal(two!.causationId, second.id);
      // Without a correlation the first message is what all others go back to.
      assert.equal(two!.correlationId, second.id);
      assert.notEqual(one!.id, first.id);
    },
  },
];

/** How hard the bus tries. */
export const delivery: readonly Case[] = chapter('delivery', once);
