import { sleep } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
const order: string[] = [];
let running = 0;
let most = 0;

// #region subscribe
const subscription = await bus.subscribe(
  'tasks.*.created',
  async (msg) => {
    most = Math.max(most, ++running);
    await sleep(clock, msg.data.ms); // the work
    order.push(`${msg.key}${msg.data.n}`);
    running--;
  },
  { group: 'workers', concurrency: 2 },
);
// #endregion subscribe

await bus.publish('tasks.1.created', { n: 1, ms: 100 }, { key: 'a' });
await bus.publish('tasks.2.created', { n: 2, ms: 10 }, { key: 'a' });
await bus.publish('tasks.3.created', { n: 1, ms: 10 }, { key: 'b' });
await bus.publish('tasks.4.created', { n: 2, ms: 10 }, { key: 'b' });
await clock.advance(200);
console.log(order.join(' '), '- at most', most, 'at a time');

// #region pause
await subscription.pause(); // no further handler starts; what was prefetched goes back
await bus.publish('tasks.5.created', { n: 1, ms: 10 }, { key: 'c' });
await clock.advance(1_000);
console.log('paused:', order.length, 'handled');
subscription.resume();
await clock.advance(1_000);
console.log('resumed:', order.length, 'handled');
await subscription.unsubscribe(); // the group stays
// #endregion pause
