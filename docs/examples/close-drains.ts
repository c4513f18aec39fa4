import { sleep } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
bus.on('closed', () => console.log('closed'));

await bus.subscribe(
  'jobs',
  async (msg) => {
    console.log('started', msg.data);
    await sleep(clock, 5_000);
    await msg.publish('jobs-done', msg.data); // still works while the bus drains
    console.log('finished', msg.data);
  },
  { group: 'workers' },
);
for (const n of [1, 2]) await bus.publish('jobs', n);
await clock.settle();

// #region close
const closing = bus.close({ timeout: 10_000 });
await clock.advance(10_000);
await closing;
// #endregion close

const other = await test.createBus();
await other.subscribe('jobs', (msg) => console.log('another process:', msg.data, 'attempt', msg.attempt), {
  group: 'workers',
});
await clock.settle();
await bus.publish('jobs', 3).catch((error) => console.log(error.code, '-', error.message));
