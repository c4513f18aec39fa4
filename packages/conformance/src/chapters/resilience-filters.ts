import assert from 'node:assert/strict';
import type { BusEvents, Filter } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { settled } from '../helpers/groups.ts';
import { distinct, numbers } from '../helpers/sequence.ts';

interface Sent {
  readonly data: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Publishes `sent`; those at the places `passing` get through the filter, the others are acked unseen and reported. */
async function filtered(
  t: CaseContext,
  filter: Filter,
  sent: readonly Sent[],
  passing: readonly number[],
): Promise<void> {
  const dead = t.topic('dead');
  const bus = await t.bus({ deadLetter: { topic: dead } });
  const topic = t.topic();
  const group = t.name();
  const seen: number[] = [];
  const events: BusEvents['message.filtered'][] = [];
  bus.on('message.filtered', (event) => events.push(event));
  const ids = sent.map((_, n) => t.name(`m${n}`));
  await bus.subscribe(topic, ({ id }) => seen.push(ids.indexOf(id)), { group, filter });
  await bus.publishMany(sent.map((one, n) => ({ topic, ...one, id: ids[n] })));
  await t.until('all were looked at', () => seen.length + events.length >= sent.length);
  await settled(t, bus, topic, group);
  assert.deepEqual(distinct(seen), passing);
  assert.equal(seen.length, passing.length);
  assert.equal(bus.stats().filtered, sent.length - passing.length);
  assert.equal(bus.stats().deadLettered, 0);
  for (const event of events) assert.equal(event.topic, topic);
}

/** What a subscription lets pass. */
export const resilienceFilters: readonly Case[] = chapter('resilience', [
  {
    id: 'resilience/filter-headers',
    name: 'a filter by headers lets through those that have them, and acks the others',
    run: (t) =>
      filtered(
        t,
        {
          headers: { region: 'eu', level: { in: ['1', '2'] }, note: (value: unknown) => value !== 'secret' },
        },
        [
          { data: 0, headers: { region: 'eu', level: '1' } },
          { data: 1, headers: { region: 'us', level: '1' } },
          { data: 2, headers: { region: 'eu', level: '3' } },
          { data: 3, headers: { region: 'eu', level: '2', note: 'secret' } },
          { data: 4, headers: { region: 'eu', level: '2', note: 'open', other: 'x' } },
          { data: 5 },
        ],
        [0, 4],
      ),
  },
  {
    id: 'resilience/filter-data',
    name: 'a filter by data compares fields, also nested, deeply and with functions',
    run: (t) =>
      filtered(
        t,
        { data: { 'user.name': 'ada', tags: ['a', 'b'], amount: (value: unknown) => Number(value) > 10 } },
        [
          { data: { user: { name: 'ada' }, tags: ['a', 'b'], amount: 11 } },
          { data: { user: { name: 'bob' }, tags: ['a', 'b'], amount: 11 } },
          { data: { user: { name: 'ada' }, tags: ['a'], amount: 11 } },
          { data: { user: { name: 'ada' }, tags: ['a', 'b'], amount: 9 } },
          { data: { 'user.name': 'ada', tags: ['a', 'b'], amount: 11 } },
          { data: null },
          { data: 'text' },
          { data: { user: { name: 'ada', more: 1 }, tags: ['a', 'b'], amount: 100, more: 1 } },
        ],
        [0, 7],
      ),
  },
  {
    id: 'resilience/filter-function',
    name: 'a filter can be a function of the whole message, and conditions on headers and data must all hold',
    async run(t) {
      const sent = numbers(10).map((n) => ({
        data: { n },
        headers: { parity: n % 2 === 0 ? 'even' : 'odd' },
      }));
      const isOdd: Filter = ({ data, headers }) => (data as { n: number }).n > 4 && headers.parity === 'odd';
      await filtered(t, isOdd, sent, [5, 7, 9]);
    },
  },
  {
    id: 'resilience/filter-both',
    name: 'conditions on headers and on data must all hold',
    run: (t) =>
      filtered(
        t,
        { headers: { a: 'x' }, data: { b: { in: [1, 2] } } },
        [
          { data: { b: 1 }, headers: { a: 'x' } },
          { data: { b: 3 }, headers: { a: 'x' } },
          { data: { b: 1 }, headers: { a: 'y' } },
          { data: { b: 2 }, headers: { a: 'x' } },
        ],
        [0, 3],
      ),
  },
  {
    id: 'resilience/filter-by-group',
    name: 'what one group filters out another still gets, live subscriptions and batches filter as well',
    async run(t) {
      const bus = await t.bus();
      const topic = t.topic();
      const [all, live] = [t.collector<number>(), t.collector<number>()];
      const batch: number[] = [];
      const filter: Filter<number> = ({ data }) => data % 2 === 0;
      await bus.subscribe<number>(topic, all.handle, { group: t.name('all') });
      await bus.subscribe<number>(topic, live.handle, { filter });
      await bus.subscribe(
        topic,
        (messages) => void batch.push(...messages.map(({ data }) => data as number)),
        {
          group: t.name('batch'),
          ack: { batch: 3, maxWait: 30 },
          filter: filter as Filter,
        },
      );
      await bus.publishMany(numbers(10).map((data) => ({ topic, data })));
      await t.until('all came', () => all.data.length === 10 && live.data.length >= 5 && batch.length >= 5);
      await t.until('the rest was dropped', () => bus.stats().filtered === 10);
      assert.deepEqual(distinct(live.data), [0, 2, 4, 6, 8]);
      assert.deepEqual(distinct(batch), [0, 2, 4, 6, 8]);
    },
  },
  {
    id: 'resilience/filter-throws',
    name: 'a filter that throws counts as a failed handler: retried, then dead-lettered, and the next is handled',
    async run(t) {
      const dead = t.topic('dead');
      const bus = await t.bus({ deadLetter: { topic: dead } });
      const topic = t.topic();
      const letters = t.collector();
      await bus.subscribe(dead, letters.handle);
      const got = t.collector();
      let asked = 0;
      await bus.subscribe(topic, got.handle, {
        group: t.name(),
        retry: { delays: [10] },
        filter: ({ data }) => {
          if (data !== 'bad') return true;
          asked++;
          throw new Error('bad filter');
        },
      });
      await bus.publish(topic, 'bad');
      await bus.publish(topic, 'good');
      await t.until('the bad one is dead', () => letters.messages.length === 1);
      await t.until('the good one came', () => got.data.length === 1);
      assert.equal(asked, 2);
      assert.equal(letters.messages[0]!.failure!.error!.message, 'bad filter');
      assert.deepEqual(got.data, ['good']);
    },
  },
]);
