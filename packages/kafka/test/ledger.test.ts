import { expect, test } from 'vitest';
import { Ledger } from '../src/feed/ledger.ts';

test('marks of transactions that were read ahead do not make an account too long', () => {
  const ledger = new Ledger(0);
  // A record, a mark, a record, a mark: as transactions of one record each lie in the log.
  for (let mark = 1; mark < 60_000; mark += 2) ledger.settle(mark);
  for (const offset of [0, 2, 4]) ledger.hand(offset);
  ledger.settle(2);
  expect(ledger.length).toBeLessThan(20);
  const text = ledger.encode();
  expect(text).toBeDefined();
  const read = Ledger.decode(0, text!);
  expect(read.handed).toBe(5);
  expect([0, 1, 2, 3, 4, 5].map((offset) => read.done(offset))).toEqual([
    false,
    true,
    true,
    true,
    false,
    false,
  ]);
  expect([0, 4, 6].map((offset) => read.count(offset))).toEqual([1, 1, 0]);
});

test('marks behind what was handed out are remembered where there is room', () => {
  const ledger = new Ledger(0);
  for (let mark = 1; mark < 100; mark += 2) ledger.settle(mark);
  ledger.hand(0);
  expect(Ledger.decode(0, ledger.encode()!).done(99)).toBe(true);
});
