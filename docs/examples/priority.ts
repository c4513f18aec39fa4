import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
const handled: string[] = [];
const workers = await bus.subscribe('jobs', () => {}, { group: 'workers' });
await workers.unsubscribe();

// #region priority
await bus.publish('jobs', 'report', { priority: 'background' });
await bus.publish('jobs', 'mail');
await bus.publish('jobs', 'alarm', { priority: 'critical' });
await bus.publish('jobs', 'invoice', { priority: 1 }); // high
// #endregion priority

await bus.subscribe('jobs', (msg) => void handled.push(`${msg.priority} ${msg.data}`), { group: 'workers' });
await clock.settle();
console.log(handled.join(', '));
