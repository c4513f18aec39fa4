import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ topics: { quotes: { ttl: 1_000 } } });
const { bus, clock } = test;
const start = clock.now();
const seconds = () => `${(clock.now() - start) / 1_000} s`;
await bus.subscribe('reminders', (msg) => console.log(seconds(), msg.data), { group: 'mail' });

// #region delay
await bus.publish('reminders', 'in ten seconds', { delay: 10_000 });
await bus.publish('reminders', 'at a date', { deliverAt: new Date(start + 5_000) });
const receipt = await bus.publish('reminders', 'never', { delay: 20_000 });
await clock.advance(10_000);
console.log('cancelled:', await bus.cancel(receipt), 'again:', await bus.cancel(receipt));
await clock.advance(60_000);
// #endregion delay

// #region ttl
bus.on('message.expired', () => console.log(seconds(), 'expired'));
const workers = await bus.subscribe('quotes', (msg) => console.log(seconds(), msg.data), { group: 'desk' });
await workers.unsubscribe(); // nobody is at the desk
await bus.publish('quotes', 'old'); // its topic says 1,000
await bus.publish('quotes', 'still good', { ttl: 60_000 });
await clock.advance(2_000);
await bus.subscribe('quotes', (msg) => console.log(seconds(), msg.data), { group: 'desk' });
await clock.settle();
// #endregion ttl
