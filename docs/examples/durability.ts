import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({
  // #region topics
  topics: {
    'cursors.#': { durability: 'ephemeral' }, // lives in flight only
    'orders.#': { retention: { maxAge: 3_600_000, maxMessages: 2 } }, // what every group has settled
  },
  // #endregion topics
});
const { bus, clock, hub } = test;

// #region use
const late = (msg: { topic: string; data: unknown }) => console.log(msg.topic, msg.data);
await bus.subscribe('orders.*', late, { group: 'billing' });
for (const n of [1, 2, 3]) await bus.publish('orders.created', n);
await bus.publish('cursors.ana', { x: 1 }); // nobody listens: gone
await bus.subscribe('cursors.*', late);
await bus.publish('cursors.ana', { x: 2 });
await clock.settle();
console.log(
  'kept:',
  hub.records('orders.created').length,
  'orders,',
  hub.records('cursors.ana').length,
  'cursors',
);
// #endregion use
