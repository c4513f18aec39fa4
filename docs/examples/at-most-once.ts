import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
bus.on('message.dropped', ({ reason }) => console.log('dropped:', reason));

// #region at-most-once
await bus.subscribe(
  'metrics',
  (msg) => {
    console.log('attempt', msg.attempt);
    throw new Error('failed');
  },
  { group: 'store', delivery: 'at-most-once' }, // or for one message: publish(…, { delivery: 'at-most-once' })
);
await bus.publish('metrics', { cpu: 0.5 });
// #endregion at-most-once
await clock.advance(60_000);
console.log((await bus.deadLetters.list()).items.length, 'dead letters');
