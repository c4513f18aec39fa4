import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: false });
const { bus, clock } = test;
await bus.subscribe(
  'orders.created',
  (msg) => {
    if (msg.data.total === undefined) throw new TypeError('there is no total');
    console.log('handled', msg.data, 'attempt', msg.attempt);
  },
  { group: 'billing' },
);
for (const id of [1, 2, 3]) await bus.publish('orders.created', { id });
await clock.settle();

// #region list
const { items, cursor } = await bus.deadLetters.list({ topic: 'orders.*', group: 'billing', limit: 2 });
for (const { data, reason, error, attempts, topic, group } of items) {
  console.log(data, reason, error?.name, attempts, topic, group);
}
const rest = await bus.deadLetters.list({ topic: 'orders.*', group: 'billing', cursor });
console.log('and', rest.items.length, 'more');
// #endregion list

// #region act
const letter = await bus.deadLetters.get(items[0]!.id);
await bus.deadLetters.replay(letter!.id, {
  edit: ({ data }) => ({ data: { ...data, total: 9 } }),
});
await clock.settle();
console.log(await bus.deadLetters.replay({ reason: 'retries-exhausted' }), 'replayed');
await clock.settle(); // they fail again
console.log(await bus.deadLetters.discard({ where: ({ data }) => data.id === 2 }), 'discarded');
console.log((await bus.deadLetters.list()).items.length, 'left');
// #endregion act
