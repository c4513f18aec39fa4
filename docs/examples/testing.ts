import assert from 'node:assert/strict';
import type { Bus } from '@ambus/core';
import { createTestBus, recorder } from '@ambus/testing';

// #region program
/** The program under test: bills an order, and tries again while the bank does not answer. */
async function billing(bus: Bus, bank: { charge(amount: number): Promise<void> }): Promise<void> {
  await bus.subscribe(
    'orders.created',
    async (msg) => {
      await bank.charge(msg.data.total);
      await msg.publish('orders.billed', { id: msg.data.id });
    },
    { group: 'billing', retry: { delays: [60_000] } },
  );
}
// #endregion program

// #region test
await using test = await createTestBus();
const { bus, clock } = test;
let calls = 0;
await billing(bus, {
  async charge() {
    if (++calls === 1) throw new Error('the bank does not answer');
  },
});
const recorded = await recorder(bus);

await bus.publish('orders.created', { id: 7, total: 9 });
await clock.advance(59_999);
await recorded.expectNone('orders.billed'); // the retry is not due
await clock.advance(1);
const billed = await recorded.expect('orders.billed', { id: 7 });
assert.equal(billed.causationId, recorded.messages('orders.created')[0]!.id);
// #endregion test

// #region faults
test.faults.fail({ on: 'publish', topic: 'orders.billed', times: 1 });
await bus.publish('orders.created', { id: 8, total: 5 });
await clock.advance(60_000);
await recorded.expect('orders.billed', { id: 8 });
assert.equal(calls, 4); // charged twice: the handler should have been made idempotent
// #endregion faults
console.log('all assertions hold;', test.faults.counts.publish.fail, 'publish failed');
