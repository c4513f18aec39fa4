import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock, hub } = test;
bus.on('disconnected', ({ error }) => console.log('disconnected:', error.message));
bus.on('reconnected', () => console.log('reconnected'));
bus.on('warning', ({ message }) => console.log('warning:', message));
await bus.subscribe('jobs', (msg) => console.log('handled', msg.data), { group: 'workers' });

// #region cut
hub.disconnect();
const waits = bus.publish('jobs', 1); // waits, up to publishTimeout
await clock.advance(3_000);
hub.reconnect();
await waits;
// #endregion cut
await clock.settle();

// #region deadline
hub.disconnect();
const late = bus.publish('jobs', 2);
late.catch((error) => console.log(error.code, '-', error.message));
await clock.advance(10_000);
hub.reconnect();
await clock.settle();
// #endregion deadline

// #region wipe
hub.wipe(); // the server lost its state
await bus.publish('jobs', 3);
await clock.settle();
// #endregion wipe
