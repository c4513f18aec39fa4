import { expect, it } from 'vitest';
import { Ledger } from '../../src/feed/ledger.ts';
import { Loans, type Receipt } from '../../src/group/loans.ts';
import type { Hub } from '../../src/hub.ts';
import { feedOf, offsets, raw, turn } from '../feed/support.ts';

const KEY = Buffer.from('k');

/** A member that has got a partition, of whose first record `other` is the holder. */
function setup() {
  const { feed, part, got, present } = feedOf();
  present.add('other');
  const ledger = new Ledger(0);
  ledger.hand(0);
  ledger.loans.set(0, 'other');
  const one = part({ ledger });
  const receipts: Receipt[] = [];
  const hub = {
    host: { busId: 'bus' },
    announce: async ({ receipt }: { receipt?: Receipt }) => void (receipt && receipts.push(receipt)),
  };
  const loans = new Loans(hub as unknown as Hub, 'g', feed, async () => true);
  one.take([raw(0, { key: KEY }), raw(1, { key: KEY })], 2, 2);
  return { loans, one, got, receipts };
}

for (const due of [undefined, Date.now()]) {
  const became = due === undefined ? 'that it is done' : 'that it is to come again';
  it(`frees the key of a record that the server has deleted, when its holder says ${became}`, async () => {
    const { loans, one, got, receipts } = setup();
    one.outOfRange(1, 2);
    await turn();
    expect(got).toEqual([]);
    const back = {
      id: 'x',
      group: 'g',
      topic: 't',
      partition: 0,
      offset: 0,
      holder: 'other',
      ...(due !== undefined && { due }),
    };
    await loans.heard(back);
    await turn();
    expect(offsets(got)).toEqual([1]);
    expect(receipts).toEqual([{ id: 'x', ok: due === undefined }]);
  });
}

it('frees the key of a record that the server has deleted, when its holder is gone', async () => {
  const { loans, one, got } = setup();
  one.outOfRange(1, 2);
  loans.membersAre(new Set());
  await turn();
  expect(offsets(got)).toEqual([1]);
});
