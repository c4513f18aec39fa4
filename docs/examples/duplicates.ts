import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock, faults, hub } = test;
const handled: string[] = [];
await bus.subscribe('payments', (msg) => void handled.push(`${msg.data} (attempt ${msg.attempt})`), {
  group: 'bank',
});

// #region ack-lost
faults.drop({ on: 'ack', times: 1 }); // the ack is lost on its way
await bus.publish('payments', 'handled twice');
await clock.advance(60_000); // the lease ends, the message comes again
// #endregion ack-lost

// #region publish-retried
faults.duplicate({ on: 'publish', times: 1 }); // a driver that sends again after a lost answer
await bus.publish('payments', 'stored twice');
// #endregion publish-retried

await clock.settle();
console.log(handled.join('\n'));
console.log(hub.records('payments').length, 'stored');
