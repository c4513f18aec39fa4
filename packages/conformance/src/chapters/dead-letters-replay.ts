import assert from 'node:assert/strict';
import { type BusOptions, type Headers, ValidationError } from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { lettersOf } from '../helpers/dead-letters.ts';
import { failing } from '../helpers/failing.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['browse'] as const;

const options = (t: CaseContext): BusOptions => ({
  deadLetter: { topic: t.topic('dead') },
  retry: { maxRetries: 1, initialDelay: 10 },
});

/** A consumer that fails until it is mended. */
async function breakable(t: CaseContext, topic: string, group?: string | undefined) {
  const bus = await t.bus(options(t));
  const state = { mended: false };
  const subscribed = group === undefined ? {} : { group };
  const { runs } = await failing(
    t,
    bus,
    topic,
    () => (state.mended ? undefined : new Error('not yet')),
    undefined,
    { group: undefined, ...subscribed },
  );
  return { bus, runs, state };
}

/** Dead letters that are tried again. */
export const deadLettersReplay: readonly Case[] = chapter('dead-letters', [
  {
    id: 'dead-letters/replay',
    name: 'a replayed letter comes to the group that failed, and no other, as it was, with attempt 1, and is gone from the letters',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus(options(t));
      const state = { mended: false };
      const got = t.collector();
      await bus.subscribe(
        topic,
        (message) => {
          if (!state.mended) throw new Error('not yet');
          got.handle(message);
        },
        { group: t.name() },
      );
      const other = await listen(t, bus, topic, { group: t.name('other') });
      const live = await listen(t, bus, topic, { group: undefined });
      const given = { headers: { a: 'b' }, key: 'k', correlationId: 'c', type: 'x', source: '/s' };
      const { id } = await bus.publish(topic, { n: 1 }, given);
      const [letter] = await lettersOf(t, bus, {}, 1);
      state.mended = true;
      assert.equal(await bus.deadLetters.replay(letter!.id), 1);
      assert.deepEqual((await bus.deadLetters.list()).items, [], 'gone at once');
      await t.until('it came', () => got.messages.length > 0);
      const [message] = got.messages;
      assert.deepEqual([message!.id, message!.attempt, message!.topic], [id, 1, topic]);
      assert.deepEqual(message!.data, { n: 1 });
      assert.deepEqual({ ...message!.headers }, given.headers);
      for (const name of ['key', 'correlationId', 'type', 'source'] as const)
        assert.equal(message![name], given[name], name);
      assert.equal(message!.failure, undefined, 'it is no dead letter any more');
      // Of the same key: what went to another by mistake comes before it.
      await bus.publish(topic, 'next', { key: given.key });
      await t.until('the next came to all', () =>
        [got, other, live].every(({ data }) => data.includes('next')),
      );
      assert.deepEqual(other.data, [{ n: 1 }, 'next']);
      assert.deepEqual(live.data, [{ n: 1 }, 'next']);
    },
  },
  {
    id: 'dead-letters/replay-many',
    name: 'letters are replayed by filter; the others stay',
    needs: NEEDS,
    async run(t) {
      const { bus, runs, state } = await breakable(t, t.topic(), t.name());
      for (const n of numbers(10)) await bus.publish(t.topic(), n);
      await lettersOf(t, bus, {}, 10);
      state.mended = true;
      runs.length = 0;
      const even = (letter: { data: unknown }): boolean => (letter.data as number) % 2 === 0;
      assert.equal(await bus.deadLetters.replay({ topic: t.topic(), where: even }), 5);
      await t.until('they came', () => runs.length >= 5);
      const left = (await bus.deadLetters.list()).items.map(({ data }) => data);
      assert.deepEqual(left.toSorted(), [1, 3, 5, 7, 9]);
      assert.equal(await bus.deadLetters.replay({}), 5);
      await t.until('the others came', () => runs.length >= 10);
      assert.deepEqual(
        runs.map(({ data }) => data).toSorted((a, b) => Number(a) - Number(b)),
        numbers(10),
      );
      for (const { attempt } of runs) assert.equal(attempt, 1);
      assert.equal(await bus.deadLetters.replay({}), 0);
    },
  },
  {
    id: 'dead-letters/replay-fails-again',
    name: 'a replayed letter that fails again has all its attempts again, and is one new letter',
    needs: NEEDS,
    async run(t) {
      const { bus, runs } = await breakable(t, t.topic(), t.name());
      const { id } = await bus.publish(t.topic(), 'x');
      const [first] = await lettersOf(t, bus, {}, 1);
      assert.equal(await bus.deadLetters.replay({}), 1, 'once, however often it fails');
      const second = await t.until('it failed again', async () => {
        const { items } = await bus.deadLetters.list();
        return items.find((letter) => letter.id !== first!.id);
      });
      assert.deepEqual([second.messageId, second.attempts, second.data], [id, 2, 'x']);
      assert.ok(second.time >= first!.time, 'later');
      assert.deepEqual(
        runs.map(({ attempt }) => attempt),
        [1, 2, 1, 2],
      );
      assert.equal((await bus.deadLetters.list()).items.length, 1);
    },
  },
  {
    id: 'dead-letters/replay-edited',
    name: 'a letter is replayed with other data or headers; what the edit leaves out stays as it was',
    needs: NEEDS,
    async run(t) {
      const topic = t.topic();
      const bus = await t.bus(options(t));
      const seen: { data: unknown; headers: Headers; key: string | undefined }[] = [];
      await bus.subscribe<{ amount: number }>(
        topic,
        ({ data, headers, key }) => {
          if (data.amount < 0) throw new Error('negative');
          seen.push({ data, headers: { ...headers }, key });
        },
        { group: t.name(), concurrency: 5 },
      );
      for (const n of numbers(3))
        await bus.publish(topic, { amount: -n - 1 }, { headers: { n: String(n) }, key: `k${n}` });
      const letters = await lettersOf(t, bus, {}, 3);
      const positive = (data: unknown): unknown => ({ amount: -(data as { amount: number }).amount });
      const byNumber = (n: number): string => letters.find(({ headers }) => headers.n === String(n))!.id;
      await bus.deadLetters.replay(byNumber(0), { edit: ({ data }) => ({ data: positive(data) }) });
      await t.until('the first came', () => seen.length >= 1);
      assert.deepEqual(seen[0], { data: { amount: 1 }, headers: { n: '0' }, key: 'k0' });
      await bus.deadLetters.replay(byNumber(1), {
        edit: ({ data, headers }) => ({ data: positive(data), headers: { ...headers, mended: 'yes' } }),
      });
      await t.until('the second came', () => seen.length >= 2);
      assert.deepEqual(seen[1], { data: { amount: 2 }, headers: { n: '1', mended: 'yes' }, key: 'k1' });
      await bus.deadLetters.replay({}, { edit: ({ data }) => ({ data: positive(data) }) });
      await t.until('the third came', () => seen.length >= 3);
      assert.deepEqual(seen[2]!.data, { amount: 3 });
    },
  },
  {
    id: 'dead-letters/replay-bad-edit',
    name: 'an edit that cannot be sent is refused, and the letter stays',
    needs: NEEDS,
    async run(t) {
      const { bus } = await breakable(t, t.topic(), t.name());
      await bus.publish(t.topic(), 'x');
      const [letter] = await lettersOf(t, bus, {}, 1);
      const bad = { headers: { n: 1 } as unknown as Headers };
      await rejection(
        ValidationError,
        () => bus.deadLetters.replay(letter!.id, { edit: () => bad }),
        'headers',
      );
      assert.equal((await bus.deadLetters.get(letter!.id))!.data, 'x');
    },
  },
  {
    id: 'dead-letters/replay-inside-an-edit',
    name: 'an edit that replays or discards letters itself is refused instead of waiting for itself, and they stay',
    needs: NEEDS,
    async run(t) {
      const { bus } = await breakable(t, t.topic(), t.name());
      const { deadLetters } = bus;
      await bus.publish(t.topic(), 'x');
      const [letter] = await lettersOf(t, bus, {}, 1);
      const id = letter!.id;
      for (const act of ['replay', 'discard'] as const) {
        const edit = async (): Promise<undefined> => void (await deadLetters[act](id));
        await rejection(ValidationError, () => deadLetters.replay(id, { edit }), '"edit"');
      }
      assert.equal(await deadLetters.discard(id), 1);
    },
  },
  {
    id: 'dead-letters/replay-mended-bytes',
    name: 'what could not be decoded is replayed with data in its place',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const bad = await t.bus({
        serializer: {
          contentType: 'application/json',
          serialize: () => Buffer.from('{broken'),
          deserialize: () => undefined,
        },
      });
      const got = await listen(t, bus, t.topic());
      await bad.publish(t.topic(), 'x');
      const [letter] = await lettersOf(t, bus, {}, 1);
      await bus.deadLetters.replay(letter!.id, {
        edit: ({ body }) => ({ data: { was: Buffer.from(body).toString() } }),
      });
      await t.until('it came', () => got.data.length > 0);
      assert.deepEqual(got.data, [{ was: '{broken' }]);
    },
  },
  {
    id: 'dead-letters/replay-later',
    name: 'a letter is replayed by another bus, and waits for its group when no member is up',
    needs: NEEDS,
    async run(t) {
      const { bus } = await breakable(t, t.topic(), t.name());
      await bus.publish(t.topic(), 'x', { ttl: 600_000 });
      await lettersOf(t, bus, {}, 1);
      await bus.close();
      const operator = await t.bus(options(t));
      assert.equal(await operator.deadLetters.replay({}), 1);
      await operator.close();
      const got = await listen(t, await t.bus(options(t)), t.topic());
      await t.until('it came', () => got.messages.length > 0);
      assert.deepEqual([got.data, got.messages[0]!.attempt], [['x'], 1]);
    },
  },
  {
    id: 'dead-letters/replay-pattern',
    name: "a letter of a pattern's group is replayed to that group alone, on its own topic",
    needs: ['browse', 'wildcards'],
    async run(t) {
      const pattern = t.topic('orders.*');
      const topic = t.topic('orders.created');
      const { bus, runs, state } = await breakable(t, pattern, t.name());
      const exact = await listen(t, bus, topic, { group: t.name() });
      const wide = await listen(t, bus, t.topic('orders.#'), { group: t.name() });
      await bus.publish(topic, 'x');
      await lettersOf(t, bus, {}, 1);
      state.mended = true;
      runs.length = 0;
      await bus.deadLetters.replay({ topic });
      await t.until('it came', () => runs.length >= 1);
      await bus.publish(topic, 'next');
      await t.until('the next came to all', () =>
        [exact.data, wide.data, runs.map(({ data }) => data)].every((data) => data.includes('next')),
      );
      assert.deepEqual(
        [exact.data, wide.data],
        [
          ['x', 'next'],
          ['x', 'next'],
        ],
      );
    },
  },
  {
    id: 'dead-letters/replay-live',
    name: 'a letter of a live subscription is replayed to live subscriptions of that pattern',
    needs: NEEDS,
    async run(t) {
      const { bus, runs, state } = await breakable(t, t.topic());
      const group = await listen(t, bus, t.topic());
      await bus.publish(t.topic(), 'x');
      const [letter] = await lettersOf(t, bus, {}, 1);
      assert.equal(letter!.group, undefined);
      state.mended = true;
      runs.length = 0;
      await bus.deadLetters.replay(letter!.id);
      await t.until('it came', () => runs.length >= 1);
      await bus.publish(t.topic(), 'next');
      await t.until('the next came', () => group.data.includes('next'));
      assert.deepEqual(group.data, ['x', 'next']);
    },
  },
  {
    id: 'dead-letters/replay-without-group',
    name: 'a letter whose group is gone stays, and the error names the group; a wrong edit changes nothing',
    needs: ['browse', 'admin'],
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('dead') } });
      const [topic, group] = [t.topic(), t.name()];
      const subscription = await bus.subscribe(topic, () => Promise.reject(new Error('no')), {
        group,
        retry: false,
      });
      await bus.publish(topic, 'x');
      const [letter] = await t.until('it lies there', async () => {
        const { items } = await bus.deadLetters.list();
        return items.length === 1 ? items : undefined;
      });
      for (const edit of [() => ({ datta: 1 }), () => null, async () => 5]) {
        await assert.rejects(bus.deadLetters.replay(letter!.id, { edit: edit as never }), ValidationError.is);
      }
      await subscription.unsubscribe();
      await bus.admin.deleteGroup(topic, group);
      await assert.rejects(
        bus.deadLetters.replay({}),
        (error) => ValidationError.is(error) && error.message.includes(group),
      );
      assert.equal((await bus.deadLetters.list()).items.length, 1);
    },
  },
  {
    id: 'dead-letters/replay-at-once',
    name: 'two replays at once replay each letter once',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus({ deadLetter: { topic: t.topic('dead') } });
      const topic = t.topic();
      let failing = true;
      const handled: unknown[] = [];
      await bus.subscribe(
        topic,
        ({ data }) => {
          if (failing) throw new Error('no');
          handled.push(data);
        },
        { group: t.name(), retry: false },
      );
      await bus.publishMany(numbers(10).map((data) => ({ topic, data })));
      await t.until('all lie there', async () => (await bus.deadLetters.list()).items.length === 10);
      failing = false;
      const counts = await Promise.all([bus.deadLetters.replay({}), bus.deadLetters.replay({})]);
      await t.until('all were handled', () => handled.length >= 10);
      assert.deepEqual(counts, [10, 0]);
      assert.equal(handled.length, 10);
    },
  },
]);
