import assert from 'node:assert/strict';
import {
  type Bus,
  type BusOptions,
  type DeadLetter,
  type Message,
  UnsupportedError,
  ValidationError,
} from '@ambus/core';
import { type Case, chapter } from '../case.ts';
import type { CaseContext } from '../context.ts';
import { lettersOf } from '../helpers/dead-letters.ts';
import { failing } from '../helpers/failing.ts';
import { listen } from '../helpers/listen.ts';
import { rejection } from '../helpers/rejection.ts';
import { numbers } from '../helpers/sequence.ts';

const NEEDS = ['browse'] as const;

/** One try, so that a message is a dead letter at once, in a topic of the case's own. */
const options = (t: CaseContext): BusOptions => ({
  deadLetter: { topic: t.topic('dead') },
  retry: { maxRetries: 0 },
});

async function refused(t: CaseContext): Promise<void> {
  const bus = await t.bus();
  for (const call of [
    () => bus.deadLetters.list(),
    () => bus.deadLetters.get('x'),
    () => bus.deadLetters.replay({}),
    () => bus.deadLetters.discard({}),
  ]) {
    await rejection(UnsupportedError, call, 'browse');
  }
}

/** Makes dead letters of `count` numbers, published on `topics` in turn, and returns them, oldest first. */
async function makeLetters(
  t: CaseContext,
  bus: Bus,
  count: number,
  topics: readonly string[] = [t.topic()],
): Promise<readonly DeadLetter[]> {
  for (const topic of topics) {
    const fail = ({ data }: { data: unknown }): unknown =>
      (data as number) % 2 === 0 ? new Error('never') : Object.assign(new Error('bad'), { retryable: false });
    await failing(t, bus, topic, fail, undefined, { group: t.name(`group-${topics.indexOf(topic)}`) });
  }
  for (const n of numbers(count)) {
    await bus.publish(topics[n % topics.length]!, n, { key: 'k', headers: { n: String(n) } });
    const letters = await lettersOf(t, bus, {}, n + 1);
    // No two in one millisecond: they are told apart by time as well.
    const { time } = letters.at(-1)!;
    await t.until('time has passed', () => Date.now() > time.getTime() + 1);
  }
  return lettersOf(t, bus, {}, count);
}

const dataOf = (letters: readonly DeadLetter[]): unknown[] => letters.map(({ data }) => data);

/** Looking at dead letters and throwing them away. */
export const deadLettersCare: readonly Case[] = chapter('dead-letters', [
  {
    id: 'dead-letters/list',
    name: 'dead letters are listed, oldest first, with all that is known of them, also by another bus later',
    needs: NEEDS,
    refused,
    async run(t) {
      const bus = await t.bus(options(t));
      assert.deepEqual(await bus.deadLetters.list(), { items: [], cursor: undefined });
      const before = Date.now();
      const letters = await makeLetters(t, bus, 3);
      await bus.close();
      const later = await t.bus(options(t));
      const { items, cursor } = await later.deadLetters.list();
      assert.equal(cursor, undefined);
      assert.deepEqual(dataOf(items), [0, 1, 2]);
      assert.deepEqual(
        items.map(({ id }) => id),
        letters.map(({ id }) => id),
      );
      const [first] = items;
      assert.equal(first!.topic, t.topic());
      assert.equal(first!.pattern, t.topic());
      assert.equal(first!.group, t.name('group-0'));
      assert.equal(first!.reason, 'retries-exhausted');
      assert.equal(first!.attempts, 1);
      assert.equal(first!.error!.message, 'never');
      assert.deepEqual({ ...first!.headers }, { n: '0' });
      assert.equal(first!.key, 'k');
      assert.equal(first!.contentType, 'application/json');
      assert.equal(Buffer.from(first!.body).toString(), '0');
      assert.ok(first!.time.getTime() >= before && first!.time.getTime() <= Date.now(), 'when it failed');
      assert.ok(
        first!.publishedAt.getTime() >= before && first!.publishedAt <= first!.time,
        'when published',
      );
      assert.notEqual(first!.messageId, first!.id);
    },
  },
  {
    id: 'dead-letters/pages',
    name: 'pages hold up to their limit, follow each other by cursor, and together hold each letter once',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      await makeLetters(t, bus, 7);
      for (const limit of [1, 2, 3, 7, 50]) {
        const pages: unknown[][] = [];
        let cursor: string | undefined;
        do {
          const page = await bus.deadLetters.list({ limit, ...(cursor === undefined ? {} : { cursor }) });
          pages.push(dataOf(page.items));
          assert.ok(page.items.length <= limit, `a page of ${page.items.length}`);
          cursor = page.cursor;
        } while (cursor !== undefined);
        assert.deepEqual(pages.flat(), numbers(7), `limit ${limit}`);
        for (const page of pages.slice(0, -1)) assert.equal(page.length, limit, 'full but the last');
      }
    },
  },
  {
    id: 'dead-letters/pages-while-discarding',
    name: 'a page after letters of the page before were discarded goes on where that ended',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      await makeLetters(t, bus, 6);
      const first = await bus.deadLetters.list({ limit: 2 });
      for (const { id } of first.items) await bus.deadLetters.discard(id);
      const second = await bus.deadLetters.list({ limit: 10, cursor: first.cursor! });
      assert.deepEqual(dataOf(second.items), [2, 3, 4, 5]);
    },
  },
  {
    id: 'dead-letters/filters',
    name: 'letters are found by topic, pattern, group, reason, time and a function, and by several at once',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const topics = [t.topic('orders.created'), t.topic('orders.paid'), t.topic('users.created')];
      const letters = await makeLetters(t, bus, 6, topics);
      const find = async (filter: object): Promise<unknown[]> =>
        dataOf((await bus.deadLetters.list(filter)).items);
      assert.deepEqual(await find({ topic: topics[0] }), [0, 3]);
      assert.deepEqual(await find({ topic: t.topic('*.created') }), [0, 2, 3, 5]);
      assert.deepEqual(await find({ topic: t.topic('orders.#') }), [0, 1, 3, 4]);
      assert.deepEqual(await find({ group: t.name('group-2') }), [2, 5]);
      assert.deepEqual(await find({ reason: 'not-retryable' }), [1, 3, 5]);
      assert.deepEqual(await find({ since: letters[2]!.time }), [2, 3, 4, 5]);
      assert.deepEqual(await find({ until: letters[2]!.time }), [0, 1]);
      assert.deepEqual(await find({ where: ({ data }: DeadLetter) => (data as number) > 3 }), [4, 5]);
      const several = { topic: t.topic('orders.#'), reason: 'not-retryable', since: letters[2]!.time };
      assert.deepEqual(await find(several), [3]);
      assert.deepEqual(await find({ group: 'nobody' }), []);
      const page = await bus.deadLetters.list({ topic: t.topic('*.created'), limit: 2 });
      assert.deepEqual(dataOf(page.items), [0, 2]);
      const next = await bus.deadLetters.list({ topic: t.topic('*.created'), cursor: page.cursor! });
      assert.deepEqual(dataOf(next.items), [3, 5]);
    },
  },
  {
    id: 'dead-letters/get',
    name: 'one letter is found by its id, and none by an id that is not there',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const letters = await makeLetters(t, bus, 3);
      const found = await bus.deadLetters.get(letters[1]!.id);
      assert.deepEqual([found!.data, found!.messageId], [1, letters[1]!.messageId]);
      assert.equal(await bus.deadLetters.get('not-there'), undefined);
      assert.equal(await bus.deadLetters.get(letters[1]!.messageId), undefined);
    },
  },
  {
    id: 'dead-letters/discard',
    name: 'one letter, those of a filter, or all are discarded, and gone at once',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const letters = await makeLetters(t, bus, 8);
      const left = async (): Promise<unknown[]> => dataOf((await bus.deadLetters.list()).items);
      assert.equal(await bus.deadLetters.discard(letters[2]!.id), 1);
      assert.deepEqual(await left(), [0, 1, 3, 4, 5, 6, 7]);
      assert.equal(await bus.deadLetters.get(letters[2]!.id), undefined);
      await rejection(ValidationError, () => bus.deadLetters.discard(letters[2]!.id), letters[2]!.id);
      assert.equal(await bus.deadLetters.discard({ reason: 'not-retryable' }), 4);
      assert.deepEqual(await left(), [0, 4, 6]);
      assert.equal(await bus.deadLetters.discard({ group: 'nobody' }), 0);
      assert.equal(await bus.deadLetters.discard({}), 3);
      assert.deepEqual(await left(), []);
    },
  },
  {
    id: 'dead-letters/elsewhere',
    name: 'letters of another topic are replayed and discarded there, named by id or by a filter, and nowhere else',
    needs: NEEDS,
    async run(t) {
      const [own, other] = [t.topic('own'), t.topic('other')];
      const bus = await t.bus({ deadLetter: { topic: own } });
      const seen: unknown[] = [];
      const fails = ({ data, topic }: Message): void => {
        seen.push(data);
        if (seen.length <= 6) throw new Error(`${topic} fails`);
      };
      const retry = { maxRetries: 0 };
      const [a, b] = [t.topic('a'), t.topic('b')];
      await bus.subscribe(a, fails, { group: t.name(), retry });
      await bus.subscribe(b, fails, { group: t.name(), retry, deadLetter: { topic: other } });
      for (const n of numbers(3)) {
        await bus.publish(a, `a${n}`);
        await bus.publish(b, `b${n}`);
      }
      const { deadLetters } = bus;
      const there = { deadLetterTopic: other };
      const count = async (): Promise<number[]> =>
        Promise.all([{}, there].map(async (place) => (await deadLetters.list(place)).items.length));
      await t.until('all are dead', async () => (await count()).join() === '3,3');
      const { items } = await deadLetters.list(there);
      assert.equal(await deadLetters.discard(items[0]!.id, there), 1);
      assert.equal((await deadLetters.get(items[1]!.id, there))?.data, items[1]!.data);
      assert.equal(await deadLetters.get(items[1]!.id), undefined);
      assert.equal(await deadLetters.replay({ where: ({ id }) => id === items[1]!.id }, there), 1);
      await t.until('it came again', () => seen.length === 7);
      assert.equal(seen[6], items[1]!.data);
      assert.equal(await deadLetters.discard({}, there), 1);
      assert.deepEqual(await count(), [3, 0]);
      await rejection(
        ValidationError,
        () => deadLetters.discard({ deadLetterTopic: own }, there),
        'deadLetterTopic',
      );
      assert.equal(await deadLetters.discard({ deadLetterTopic: own }), 3);
    },
  },
  {
    id: 'dead-letters/undecodable',
    name: 'a letter that cannot be decoded is listed with its bytes and without data',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const bad = await t.bus({
        serializer: {
          contentType: 'application/json',
          serialize: () => Uint8Array.of(0xff, 0x7b),
          deserialize: () => undefined,
        },
      });
      await listen(t, bus, t.topic());
      await bad.publish(t.topic(), 'x', { headers: { a: 'b' } });
      const [letter] = await lettersOf(t, bus, {}, 1);
      assert.equal(letter!.data, undefined);
      assert.deepEqual([...letter!.body], [0xff, 0x7b]);
      assert.deepEqual([letter!.reason, letter!.error!.name], ['undecodable', 'SerializationError']);
      assert.deepEqual({ ...letter!.headers }, { a: 'b' });
      assert.equal((await bus.deadLetters.get(letter!.id))!.messageId, letter!.messageId);
    },
  },
  {
    id: 'dead-letters/default-topic',
    name: 'without more said, letters lie on the topic "dead-letters", where a handler gets them, too',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus({ prefix: t.name('p'), retry: { maxRetries: 0 } });
      const got = await listen(t, bus, 'dead-letters');
      await failing(t, bus, t.topic(), () => new Error('never'));
      await bus.publish(t.topic(), 'x');
      await t.until('a handler has it', () => got.messages.length > 0);
      const [letter] = await lettersOf(t, bus, { topic: t.topic() }, 1);
      assert.equal(letter!.id, got.messages[0]!.id);
      assert.deepEqual([letter!.data, got.data], ['x', ['x']]);
    },
  },
  {
    id: 'dead-letters/bad-input',
    name: 'what is not allowed in a filter, a page or an id is refused by name',
    needs: NEEDS,
    async run(t) {
      const bus = await t.bus(options(t));
      const { deadLetters } = bus;
      const bad: readonly (readonly [object, string])[] = [
        [{ limit: 0 }, '"limit"'],
        [{ limit: 1_001 }, '"limit"'],
        [{ topic: 'a b' }, '"topic"'],
        [{ group: '' }, '"group"'],
        [{ since: 'yesterday' }, '"since"'],
        [{ where: 'x' }, '"where"'],
        [{ topik: 'a' }, '"topik"'],
      ];
      for (const [filter, part] of bad)
        await rejection(ValidationError, () => deadLetters.list(filter), part);
      await rejection(ValidationError, () => deadLetters.discard({ topik: 'a' } as object), '"topik"');
      await rejection(ValidationError, () => deadLetters.get(''), 'id');
      await rejection(ValidationError, () => deadLetters.replay('not-there'), 'not-there');
      await rejection(ValidationError, () => deadLetters.replay({}, { edit: 1 as never }), '"edit"');
      const off = await t.bus({ deadLetter: false });
      await rejection(ValidationError, () => off.deadLetters.list(), 'deadLetterTopic');
    },
  },
]);
