import { expect, it } from 'vitest';
import { Ledger, MAX_METADATA } from '../../src/feed/ledger.ts';
import { takeAccounts } from '../../src/group/accounts.ts';
import { feedOf, raw, turn } from '../feed/support.ts';

const keyed = (count: number) =>
  Array.from({ length: count }, (_, offset) => raw(offset, { key: Buffer.from(`k${offset}`) }));

it('hands out no more than may fail, and goes on when the account has room again', async () => {
  const { feed, part, got } = feedOf({ order: 'block', prefetch: 1_000 });
  const one = part();
  one.take(keyed(900), 900, 900);
  await turn();
  let failed = 0;
  while (got.length > failed) {
    for (const entry of got.slice(failed)) feed.retry(entry, 60_000);
    failed = got.length;
    takeAccounts([one]);
    await turn();
  }
  expect(failed).toBeGreaterThan(100);
  expect(one.ledger.due.size).toBe(failed);
  // As when they fail once more.
  for (const [offset, due] of [...one.ledger.due]) {
    one.ledger.hand(offset);
    one.ledger.wait(offset, due);
  }
  expect(one.ledger.encode()?.length).toBeLessThan(MAX_METADATA);
  for (const { offset } of got.slice(0, 50)) one.ledger.settle(offset);
  await turn();
  expect(got.length).toBe(failed);
  one.dirty = true;
  takeAccounts([one]);
  await turn();
  expect(got.length).toBeGreaterThan(failed);
});

it('begins with what is left of an account that was taken over', async () => {
  const { part, got } = feedOf({ order: 'block', prefetch: 1_000 });
  const ledger = new Ledger(0);
  for (let offset = 0; offset < 180; offset++) ledger.wait(offset, Date.now() + 60_000 + ledger.hand(offset));
  part({ ledger: Ledger.decode(0, ledger.encode()!) }).take(keyed(900), 900, 900);
  await turn();
  expect(got.length).toBe(0);
});

it('hands out what makes a long account shorter, one by one where there is no room at all', async () => {
  const { feed, part, got } = feedOf({ prefetch: 1_000 });
  const ledger = new Ledger(0);
  for (let offset = 0; offset < 30_000; offset++) ledger.hand(offset);
  for (let offset = 0; offset < 30_000; offset++) {
    if (offset % 3 === 0) ledger.release(offset);
    else ledger.settle(offset);
  }
  const one = part({ ledger });
  const log = Array.from({ length: 30_001 }, (_, offset) => raw(offset));
  one.take(log, log.length, log.length);
  for (const expected of [0, 3, 6]) {
    await turn();
    expect(got.map(({ offset }) => offset)).toEqual([expected]);
    feed.settle(got.splice(0));
    takeAccounts([one]);
  }
});

it('says of which records an account does not tell that they are done', () => {
  const { part } = feedOf();
  const ledger = new Ledger(0);
  for (let offset = 0; offset < 60_000; offset++) ledger.hand(offset);
  for (let offset = 1; offset < 60_000; offset += 2) ledger.settle(offset);
  const one = part({ ledger });
  one.dirty = true;
  expect(takeAccounts([one]).lossy).toBe(true);
  expect(one.told).toBeLessThan(60_000);
  ledger.settle(0, 50_000);
  one.dirty = true;
  expect(takeAccounts([one]).lossy).toBe(false);
  expect(one.told).toBe(Number.POSITIVE_INFINITY);
});
