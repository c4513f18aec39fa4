import { createTestBus } from '@ambus/testing';

// #region publish
await using test = await createTestBus({ circuitBreaker: { failureThreshold: 3 } });
const { bus, faults } = test;
faults.fail({ on: 'publish', topic: 'orders' });
for (let n = 1; n <= 4; n++) {
  await bus.publish('orders', n).catch((error) => console.log(n, error.code));
}
await bus.publish('mail', 1); // another topic has another breaker
// #endregion publish
