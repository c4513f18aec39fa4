import { createTestBus } from '@ambus/testing';

// #region bus
await using test = await createTestBus({
  retry: { maxRetries: 3, initialDelay: 1_000, factor: 2, maxDelay: 60_000, jitter: 0 },
});
// #endregion bus
const { bus, clock } = test;
const start = clock.now();

// #region handler
await bus.subscribe(
  'payments',
  (msg) => {
    console.log('attempt', msg.attempt, 'at', (clock.now() - start) / 1_000, 's');
    throw new Error('the bank does not answer');
  },
  { group: 'bank' },
);
// #endregion handler
bus.on('message.dead_lettered', ({ reason }) => console.log('dead letter:', reason));

await bus.publish('payments', { id: 1 });
await clock.advance(7_000);
