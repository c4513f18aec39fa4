import { createBus } from '@ambus/core';

// #region run
const bus = await createBus();
bus.on('connected', () => console.log('ready'));
bus.on('closed', () => console.log('closed'));
await bus.subscribe('jobs', () => {}, { group: 'workers' });

setTimeout(() => process.kill(process.pid, 'SIGTERM'), 50); // what an operator does
await bus.run(); // until SIGINT or SIGTERM, then closes
console.log('bye');
// #endregion run
