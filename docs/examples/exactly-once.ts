import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ deduplicationWindow: 300_000 });
const { bus, clock, faults } = test;
await bus.subscribe('payments', (msg) => console.log(msg.data, 'attempt', msg.attempt), { group: 'bank' });

// #region once
const pay = () => bus.publish('payments', 'pay 9 €', { delivery: 'exactly-once', idempotencyKey: 'order-7' });
await pay();
await pay(); // accepted, and dropped
await clock.settle();
await clock.advance(300_000);
await pay(); // the window has passed: a new message
// #endregion once
await clock.settle();

// #region not-covered
faults.drop({ on: 'ack', times: 1 });
await bus.publish('payments', 'pay 5 €', { delivery: 'exactly-once', idempotencyKey: 'order-8' });
await clock.advance(60_000); // it was published once, and is handled twice
// #endregion not-covered
