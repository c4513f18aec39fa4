import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
bus.on('message.retried', ({ topic, delay }) => console.log(topic, 'again in', delay, 'ms'));
bus.on('message.dead_lettered', ({ topic, reason }) => console.log(topic, reason));

// #region hopeless
// Errors that another try cannot help are not retried.
await bus.subscribe(
  'a',
  () => {
    throw Object.assign(new Error('no such customer'), { retryable: false });
  },
  { group: 'workers' },
);
// #endregion hopeless

// #region retry-on
// An exact list of delays, for these errors only: by code, by name, by class or by function.
await bus.subscribe(
  'b',
  (msg) => {
    throw Object.assign(new Error('failed'), { code: msg.data });
  },
  { group: 'workers', retry: { delays: [1_000, 5_000, 15_000], retryOn: ['ETIMEDOUT', TypeError] } },
);
// #endregion retry-on

await bus.publish('a', {});
await bus.publish('b', 'ETIMEDOUT');
await bus.publish('b', 'EINVAL');
await clock.settle();

// #region publisher
// The publisher's policy comes before the subscription's and the bus's.
await bus.publish('b', 'ETIMEDOUT', { retry: false });
// #endregion publisher
await clock.settle();
