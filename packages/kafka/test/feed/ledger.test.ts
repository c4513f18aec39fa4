import { expect, it } from 'vitest';
import { Ledger, MAX_METADATA } from '../../src/feed/ledger.ts';
import { random } from './support.ts';

const BASE = 7_000_000_000;

/** What a ledger says of the offsets from `BASE` on. */
function says(ledger: Ledger, until: number): unknown[] {
  return Array.from({ length: until }, (_, index) => {
    const offset = BASE + index;
    if (ledger.done(offset)) return 'done';
    return [ledger.count(offset), ledger.due.get(offset), ledger.loans.get(offset)];
  });
}

it('counts, settles and keeps what a plain list of records would, through every commit', () => {
  const next = random(2);
  for (let round = 0; round < 150; round++) {
    let ledger = new Ledger(BASE);
    const model = Array.from({ length: 30 }, () => ({
      done: false,
      out: false,
      count: 0,
      due: undefined as number | undefined,
      loan: undefined as string | undefined,
    }));
    for (let step = 0; step < 80; step++) {
      const index = next(30);
      const offset = BASE + index;
      const one = model[index]!;
      const what = next(7);
      if (one.done) {
        ledger.settle(offset);
      } else if (what <= 1 && !one.out) {
        expect(ledger.hand(offset)).toBe(++one.count);
        Object.assign(one, { out: true, due: undefined });
      } else if (what === 2 && one.out) {
        ledger.release(offset);
        Object.assign(one, { out: false, count: one.count - 1 });
      } else if (what === 3 && one.out) {
        ledger.wait(offset, 5_000 + step);
        Object.assign(one, { out: false, due: 5_000 + step });
      } else if (what === 4 && one.out) {
        const holder = `member ${next(3)}|@,;é`;
        ledger.loans.set(offset, holder);
        one.loan = holder;
      } else if (what === 5) {
        ledger.settle(offset);
        one.done = true;
      } else if (what === 6 && next(10) === 0) {
        ledger.settle(BASE + index, BASE + 30);
        for (const other of model.slice(index)) other.done = true;
      }
      const expected = model.map((record) =>
        record.done ? 'done' : [record.count, record.due, record.loan],
      );
      expect(says(ledger, 30)).toEqual(expected);
      const open = model.findIndex((record) => !record.done);
      expect(ledger.floor).toBe(BASE + (open < 0 ? 30 : open));
      const text = ledger.encode();
      expect(text?.length).toBeLessThanOrEqual(MAX_METADATA);
      const read = Ledger.decode(ledger.floor, text!);
      expect(says(read, 30)).toEqual(expected);
      expect(read.handed).toBe(ledger.handed);
      expect(read.inFlight).toBe(ledger.inFlight);
      // As after a restart.
      if (next(5) === 0) ledger = read;
    }
  }
});

/** Every other record is done, and the rest as `rest` says. */
function alternating(until: number, rest: (ledger: Ledger, offset: number) => void): Ledger {
  const ledger = new Ledger(0);
  for (let offset = 0; offset < until; offset++) ledger.hand(offset);
  for (let offset = 0; offset < until; offset++) {
    if (offset % 2 === 1) ledger.settle(offset);
    else rest(ledger, offset);
  }
  return ledger;
}

it('has room for some ten thousand records that are done and that were not begun with, in turns', () => {
  const ledger = alternating(20_000, (own, offset) => own.release(offset));
  const text = ledger.encode();
  expect(text?.length).toBeLessThanOrEqual(MAX_METADATA);
  const read = Ledger.decode(0, text!);
  for (let offset = 0; offset < 20_000; offset++) {
    expect(read.done(offset)).toBe(offset % 2 === 1);
    if (offset % 2 === 0) expect(read.count(offset)).toBe(0);
  }
  expect(read.inFlight).toBe(0);
});

it('tells short and long ranges of what is done and what is not, in any mixture', () => {
  const next = random(5);
  for (let round = 0; round < 200; round++) {
    const ledger = new Ledger(BASE);
    const longest = [2, 8, 300, 40_000][next(4)]!;
    for (let n = next(60), at = BASE; n > 0; n--) {
      at += 1 + next(next(2) === 0 ? 3 : longest);
      const end = at + 1 + next(next(2) === 0 ? 3 : longest);
      ledger.settle(at, end);
      at = end;
    }
    for (const [, end] of ledger.settled) ledger.hand(end);
    const read = Ledger.decode(BASE, ledger.encode()!);
    expect([...read.settled]).toEqual([...ledger.settled]);
    expect(read.handed).toBe(ledger.handed);
    for (const [start, end] of ledger.settled) expect([read.count(end), read.done(start)]).toEqual([1, true]);
  }
});

it('says that it is too long, and then still tells what is done, and as many retries as there is room for', () => {
  const due = 1_700_000_000_000;
  const ledger = alternating(1_000, (own, offset) => own.wait(offset, due));
  expect(ledger.encode()).toBeUndefined();
  const { text, told } = ledger.encodeShort();
  expect(text.length).toBeLessThanOrEqual(MAX_METADATA);
  expect(told).toBe(Number.POSITIVE_INFINITY);
  const short = Ledger.decode(0, text);
  expect([short.done(1), short.done(2), short.done(999)]).toEqual([true, false, true]);
  expect(short.due.size).toBeGreaterThan(200);
  for (const [offset, time] of short.due) expect([offset % 2, time]).toEqual([0, due]);
  for (let offset = 0; offset < 1_000; offset += 2) ledger.settle(offset);
  expect(ledger.encode()).toBe('');
  expect(ledger.floor).toBe(1_000);
});

it('says from where on it does not tell what is done, where even that is too long', () => {
  const ledger = alternating(100_000, () => {});
  const { text, told } = ledger.encodeShort();
  const short = Ledger.decode(0, text);
  expect(told).toBeGreaterThan(10_000);
  for (let offset = 1; offset < 100_000; offset += 2) expect(short.done(offset)).toBe(offset < told);
});

it('reads what was written before there were bits in it', () => {
  const ledger = Ledger.decode(10, 'a1;14;1.3,5;0,a.3;2.4;2.loyw3v28;me@7');
  expect([...ledger.settled]).toEqual([
    [11, 14],
    [19, 20],
  ]);
  expect([...ledger.idle]).toEqual([
    [10, 11],
    [21, 24],
  ]);
  expect([ledger.handed, ledger.count(12), ledger.due.get(12), ledger.loans.get(17)]).toEqual([
    50,
    4,
    1_700_000_000_000,
    'me',
  ]);
});

it('begins anew where its metadata is not its own', () => {
  const ledger = Ledger.decode(12, 'some other program');
  expect([ledger.floor, ledger.handed, ledger.count(12), ledger.done(11)]).toEqual([12, 12, 0, true]);
});
