import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: false });
const { bus, clock, hub } = test;

// #region watch
// Dead letters are messages of an ordinary durable topic.
await bus.subscribe(
  'dead-letters',
  (msg) => console.log(msg.failure?.topic, msg.failure?.reason, msg.body.toString()),
  { group: 'pager' },
);
// #endregion watch

// #region own
await bus.subscribe('mail', (msg) => msg.deadLetter('no such address'), {
  group: 'senders',
  deadLetter: { topic: 'mail-failed', retention: 86_400_000 },
});
// #endregion own

await bus.subscribe('orders', () => {}, { group: 'billing' });
hub.publish({ topic: 'orders', body: Buffer.from('{"id":'), contentType: 'application/json' }); // not JSON
await bus.publish('mail', { to: '' });
await clock.settle();
console.log(
  (await bus.deadLetters.list({ deadLetterTopic: 'mail-failed' })).items.map(({ reason }) => reason),
);
