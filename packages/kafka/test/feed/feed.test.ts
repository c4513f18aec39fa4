import { expect, it } from 'vitest';
import { writeHeaders } from '../../src/driver/records.ts';
import { Ledger } from '../../src/feed/ledger.ts';
import { toRetry } from '../../src/feed/origin.ts';
import type { Part } from '../../src/feed/part.ts';
import { feedOf, offsets, raw, turn } from './support.ts';

const KEY = Buffer.from('k');
const lentAt = (offset: number, holder: string): Ledger => {
  const ledger = new Ledger(0);
  ledger.hand(offset);
  ledger.loans.set(offset, holder);
  return ledger;
};

for (const how of ['is given up', 'is lost'] as const) {
  it(`frees the key of a record that another member has when its partition ${how}`, async () => {
    const { feed, part, got, present } = feedOf();
    present.add('other');
    const mine = part({ partition: 1 });
    const going = part({ ledger: lentAt(0, 'other') });
    going.take([raw(0, { key: KEY }), raw(1, { key: KEY })], 2, 2);
    mine.take([raw(0, { key: KEY })], 1, 1);
    await turn();
    expect(got).toEqual([]);
    if (how === 'is given up') feed.drain(going);
    else feed.lose([going]);
    await turn();
    expect(got.map((entry) => entry.part)).toEqual([mine]);
    expect(going.loaned.size).toBe(0);
  });
}

it('hands a record that was lent out again when it comes back, before what is behind it', async () => {
  const { feed, part, got, present } = feedOf();
  present.add('other');
  const one = part({ ledger: lentAt(0, 'other') });
  one.take([raw(0, { key: KEY }), raw(1, { key: KEY })], 2, 2);
  await turn();
  expect(got).toEqual([]);
  feed.back(one, 0, 0);
  await turn();
  expect(offsets(got)).toEqual([0, 1]);
  expect(got[0]!.attempt).toBe(2);
});

it('goes on with a key of which a record was removed', async () => {
  const { feed, part, got } = feedOf();
  const one = part();
  feed.pause();
  one.take([raw(0, { key: KEY }), raw(1, { key: KEY })], 2, 2);
  feed.removed(one, 0);
  feed.resume();
  await turn();
  expect(offsets(got)).toEqual([1]);
});

for (const how of ['hears it', 'reads on'] as const) {
  it(`hands out nothing that was emptied from under it, once it ${how}`, async () => {
    const { feed, part, got } = feedOf({ prefetch: 1, order: 'block' });
    const one = part();
    one.take([raw(0, { key: KEY }), raw(1), raw(2, { key: KEY }), raw(3)], 4, 4);
    await turn();
    expect(offsets(got)).toEqual([0]);
    if (how === 'hears it') feed.emptied([{ topic: 't', partition: 0, before: 3 }]);
    one.take([raw(4, { key: KEY })], 5, 5, 3);
    feed.retry(got[0]!, 0);
    await turn();
    expect([one.ledger.floor, one.ledger.due.size]).toEqual([3, 0]);
    feed.settle([got[1]!]);
    await turn();
    expect(offsets(got)).toEqual([0, 3, 4]);
    expect(one.queued).toBe(0);
  });
}

it('hands out nothing again that was emptied while it was on its way', async () => {
  const { feed, part, got } = feedOf();
  const one = part();
  one.take([raw(0), raw(1, { key: KEY })], 2, 2);
  await turn();
  feed.emptied([{ topic: 't', partition: 0, before: 2 }]);
  feed.release(got);
  await turn();
  expect(offsets(got)).toEqual([0, 1]);
  expect([one.out.size, one.queued, one.ledger.encode()]).toEqual([0, 0, '']);
});

it('leaves a record out that nobody can read, and says so', async () => {
  const { part, got, warned } = feedOf();
  const one = part();
  const broken = Object.defineProperty(raw(1, { value: null }), 'headers', {
    get() {
      throw new RangeError('behind the end');
    },
  });
  one.take([raw(0), broken, raw(2)], 3, 3);
  await turn();
  expect(offsets(got)).toEqual([0, 2]);
  expect(warned).toEqual([1]);
  expect(one.ledger.done(1)).toBe(true);
});

/** The topic of retries, and one retry of a record at `offset` of the first part. */
function retries(part: ReturnType<typeof feedOf>['part'], main: Part, until: number): Part {
  return part({ topic: 'retries', kind: 'q', until, partition: main.partition });
}

it('hands nothing out before the retries are known that were stored when it began', async () => {
  const before = feedOf();
  const origin = before.part();
  origin.take([raw(0), raw(1)], 2, 2);
  await turn();
  const retry = toRetry(before.got[0]!, Date.now() + 50);

  const { part, got } = feedOf();
  const main = part();
  const queue = retries(part, main, 2);
  main.take([raw(0), raw(1)], 2, 2);
  await turn();
  expect(got).toEqual([]);
  queue.take([raw(0, { headers: retry.headers as Buffer })], 1, 5);
  await turn();
  expect(got).toEqual([]);
  queue.take([], 2, 5);
  await turn();
  // The retry is in the queue, so it is done where it was published.
  expect(got.map((entry) => [entry.part.kind, entry.offset])).toEqual([['main', 1]]);
  expect(main.ledger.done(0)).toBe(true);
  await expect.poll(() => got.length).toBe(2);
  expect([got[1]!.part.kind, got[1]!.attempt]).toEqual(['q', 2]);
});

it('does not wait for retries that are gone, or whose partition is', async () => {
  const { feed, part, got } = feedOf();
  const main = part();
  const first = retries(part, main, 2);
  const second = part({ topic: 'other', kind: 'q', until: 3 });
  main.take([raw(0)], 1, 1);
  await turn();
  first.outOfRange(2, 2);
  await turn();
  expect(got).toEqual([]);
  feed.remove(second);
  await turn();
  expect(offsets(got)).toEqual([0]);
});

function delayed(offset: number, due: number, size: number) {
  const headers = writeHeaders([
    ['ce_id', `id-${offset}`],
    ['ce_ambusdeliverat', new Date(due).toISOString()],
  ]);
  return raw(offset, { timestamp: due, value: Buffer.alloc(size, offset), headers });
}

it('keeps no more than some bytes of what is delayed, and reads the rest again when it is due', async () => {
  const { part, got, log, asked } = feedOf({ prefetch: 10_000 });
  const one = part({ kind: 'd' });
  const due = Date.now() + 1_500;
  const size = 50_000;
  const records = Array.from({ length: 300 }, (_, offset) => delayed(offset, due, size));
  expect(records[0]!.headers.length).toBeGreaterThan(0);
  for (const record of records) log.set(record.offset, record);
  one.take(records, records.length, records.length);
  await turn();
  expect(asked).toEqual([]);
  await expect.poll(() => got.length, { timeout: 5_000 }).toBe(300);
  // What lies together is read together. 4 MiB are kept.
  expect(asked.length).toBeLessThan(10);
  expect(300 - asked.length * 50).toBeLessThan(100);
  for (const entry of got) expect(entry.record.body[0]).toBe(entry.offset & 255);
  expect(new Set(offsets(got)).size).toBe(300);
});

it('settles what is delayed and not there any more when it is due', async () => {
  const { part, got, log } = feedOf({ prefetch: 10_000 });
  const one = part({ kind: 'd' });
  const due = Date.now() + 200;
  const records = Array.from({ length: 200 }, (_, offset) => delayed(offset, due, 50_000));
  for (const record of records) if (record.offset % 2 === 0) log.set(record.offset, record);
  one.take(records, records.length, records.length);
  await expect.poll(() => one.ledger.done(199)).toBe(true);
  await expect.poll(() => got.length).toBeGreaterThan(100);
  const handed = new Set(offsets(got));
  for (const { offset } of records) expect(handed.has(offset)).not.toBe(one.ledger.done(offset));
});

it('takes back what is cancelled, whether its bytes are kept or not', async () => {
  const { part, got, log } = feedOf({ prefetch: 10_000 });
  const one = part({ kind: 'd' });
  // They have to be cancelled before they are due.
  const due = Date.now() + 1_000;
  const records = Array.from({ length: 200 }, (_, offset) => delayed(offset, due, 50_000));
  for (const record of records) log.set(record.offset, record);
  one.take(records, 200, 202);
  const note = (offset: number, id: number) =>
    raw(offset, {
      value: null,
      timestamp: Date.now(),
      headers: writeHeaders([['ambus-kafka-cancel', `id-${id}`]]),
    });
  one.take([note(200, 0), note(201, 199)], 202, 202);
  await expect.poll(() => got.length, { timeout: 5_000 }).toBe(198);
  await turn();
  expect(offsets(got).sort((a, b) => a - b)).toEqual(Array.from({ length: 198 }, (_, n) => n + 1));
});

it('reads no more than there is room for', async () => {
  const { feed, part, got, log } = feedOf({ prefetch: 100 });
  const one = part({ kind: 'd' });
  const due = Date.now() + 100;
  const records = Array.from({ length: 3_000 }, (_, offset) => delayed(offset, due, 20_000));
  for (const record of records) log.set(record.offset, record);
  one.take(records, records.length, records.length);
  await expect.poll(() => got.length).toBe(100);
  await turn();
  expect(one.queued).toBeLessThan(1_100);
  for (let settled = 0; settled < 3_000; ) {
    await expect.poll(() => got.length, { interval: 1 }).toBeGreaterThan(settled);
    const more = got.slice(settled);
    settled += more.length;
    feed.settle(more);
    expect(one.queued).toBeLessThan(1_100);
  }
  expect(one.ledger.floor).toBe(3_000);
});

it('goes on with a key when what another member had of it waits among the retries', async () => {
  const other = feedOf();
  other.part().take([raw(0, { key: KEY })], 1, 1);
  await turn();
  const retry = toRetry(other.got[0]!, Date.now());

  const { part, got, present } = feedOf();
  present.add('other');
  const main = part({ ledger: lentAt(0, 'other') });
  const queue = retries(part, main, 0);
  main.take([raw(0, { key: KEY }), raw(1, { key: KEY })], 2, 2);
  await turn();
  expect(got).toEqual([]);
  queue.take([raw(0, { key: KEY, headers: retry.headers as Buffer })], 1, 1);
  await turn();
  expect(got.map((entry) => [entry.part.kind, entry.offset]).toSorted()).toEqual([
    ['main', 1],
    ['q', 0],
  ]);
  expect(main.loaned.size).toBe(0);
});

it('hands out the latest of two retries of one record, of which the first was never settled', async () => {
  const before = feedOf();
  before.part().take([raw(0)], 1, 1);
  await turn();
  const first = toRetry(before.got[0]!, Date.now());
  const again = before.part({ topic: 'retries', kind: 'q' });
  again.take([raw(0, { headers: first.headers as Buffer })], 1, 1);
  await turn();
  const second = toRetry(before.got[1]!, Date.now());

  const { part, got } = feedOf();
  const main = part({ ledger: new Ledger(1) });
  const queue = retries(part, main, 2);
  const logged = [first, second].map(({ headers }, offset) => raw(offset, { headers: headers as Buffer }));
  queue.take(logged, 2, 2);
  await expect.poll(() => got.map(({ offset, attempt }) => [offset, attempt])).toEqual([[1, 3]]);
  expect(queue.ledger.done(0)).toBe(true);
});

for (const [was, is] of [
  ['first', 'second'],
  ['first', 'first'],
  // Of a version that did not note it.
  [undefined, 'second'],
]) {
  const same = was === undefined || was === is;
  for (const order of ['before', 'behind'] as const) {
    it(`${same ? 'takes' : 'does not take'} a retry from topic ${was} that it reads ${order} a record of topic ${is} for the record's`, async () => {
      const before = feedOf();
      before.part({ topicId: was }).take([raw(0)], 1, 1);
      await turn();
      const first = toRetry(before.got[0]!, Date.now());
      const again = before.part({ topic: 'retries', kind: 'q' });
      again.take([raw(0, { headers: first.headers as Buffer })], 1, 1);
      await turn();
      const logged = [first, toRetry(before.got[1]!, Date.now())].map(({ headers }, offset) =>
        raw(offset, { headers: headers as Buffer }),
      );

      const { part, got } = feedOf();
      const main = part({ topicId: is });
      const queue = retries(part, main, 2);
      if (order === 'before') queue.take(logged, 2, 2);
      main.take([raw(0)], 1, 1);
      if (order === 'behind') queue.take(logged, 2, 2);
      await expect
        .poll(() => got.map((entry) => entry.part.kind).toSorted())
        .toEqual(same ? ['q'] : ['main', 'q']);
    });
  }
}

it('keeps apart retries of two topics of one name', async () => {
  const logged: ReturnType<typeof raw>[] = [];
  for (const topicId of ['first', 'second']) {
    const before = feedOf();
    before.part({ topicId }).take([raw(0)], 1, 1);
    await turn();
    const { headers } = toRetry(before.got[0]!, Date.now());
    logged.push(raw(logged.length, { headers: headers as Buffer }));
  }
  const { part, got } = feedOf();
  const main = part({ topicId: 'second' });
  const queue = retries(part, main, 2);
  queue.take(logged, 2, 2);
  main.take([raw(0)], 1, 1);
  const kinds = () => got.map((entry) => [entry.part.kind, entry.offset]);
  await expect.poll(kinds).toEqual([
    ['q', 0],
    ['q', 1],
  ]);
});
