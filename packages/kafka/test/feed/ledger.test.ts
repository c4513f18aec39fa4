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

it('says that it is too long, and then still tells what is settled, where that fits', () => {
  const ledger = new Ledger(0);
  for (let offset = 1; offset < 1_000; offset += 2) {
    ledger.hand(offset);
    ledger.hand(offset - 1);
    ledger.wait(offset - 1, 1_700_000_000_000);
    ledger.settle(offset);
  }
  expect(ledger.encode()).toBeUndefined();
  const short = Ledger.decode(0, ledger.encodeShort());
  expect([short.done(1), short.done(2), short.done(999)]).toEqual([true, false, true]);
  for (let offset = 0; offset < 1_000; offset += 2) ledger.settle(offset);
  expect(ledger.encode()).toBe('');
  expect(ledger.floor).toBe(1_000);
});

it('begins anew where its metadata is not its own', () => {
  const ledger = Ledger.decode(12, 'some other program');
  expect([ledger.floor, ledger.handed, ledger.count(12), ledger.done(11)]).toEqual([12, 12, 0, true]);
});
