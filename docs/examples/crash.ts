import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ memory: { lease: 30_000 } });
const { bus, clock, hub } = test;
const stuck = Promise.withResolvers<void>();

// #region crash
await bus.subscribe('jobs', () => stuck.promise, { group: 'workers' });
await bus.publish('jobs', 'resize');
await clock.settle(); // its handler runs …
hub.disconnect(); // … and the server hears no more of this process
const other = await test.createBus();
await other.subscribe('jobs', (msg) => console.log(msg.data, 'attempt', msg.attempt), { group: 'workers' });
// #endregion crash
await clock.advance(29_999);
console.log('the lease has not ended yet');
await clock.advance(1);

// #region late
bus.on('lease.lost', ({ reason }) => console.log('lease lost:', reason));
hub.reconnect(); // it was not dead after all: the handler's signal fires …
stuck.resolve(); // … and its late ack is refused
// #endregion late
await clock.settle();
