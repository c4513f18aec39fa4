import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
const got: string[] = [];
const note = (who: string) => (msg: { data: number }) => void got.push(`${who} ${msg.data}`);

// #region consumers
// Two members of one group share the messages.
await bus.subscribe('orders.created', note('billing'), { group: 'billing' });
await bus.subscribe('orders.created', note('billing'), { group: 'billing' });
// Another group gets all of them, too.
await bus.subscribe('orders.created', note('shipping'), { group: 'shipping' });
// Without a group: a private copy of everything from now on.
await bus.subscribe('orders.created', note('dashboard'));
// #endregion consumers

await bus.publish('orders.created', 1);
await bus.publish('orders.created', 2);
await clock.settle();
console.log(got.sort().join('\n'));
