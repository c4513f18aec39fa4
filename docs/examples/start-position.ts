import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;

await bus.publish('orders.created', 'first');
await clock.advance(60_000);
const opening = new Date(clock.now());
await bus.publish('orders.created', 'second');

// #region from
const show = (who: string) => (msg: { data: string }) => console.log(who, msg.data);
await bus.subscribe('orders.created', show('new'), { group: 'a' }); // the default
await bus.subscribe('orders.created', show('earliest'), { group: 'b', from: 'earliest' });
await bus.subscribe('orders.created', show('date'), { group: 'c', from: opening });
// #endregion from
await clock.settle();

// #region waits
const workers = await bus.subscribe('orders.created', show('before'), { group: 'd' });
await workers.unsubscribe(); // no member is up
await bus.publish('orders.created', 'third');
await clock.settle();
await bus.subscribe('orders.created', show('after'), { group: 'd' }); // goes on where the group was
// #endregion waits
await clock.settle();
