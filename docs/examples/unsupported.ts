import { createBus } from '@ambus/core';
import { toy } from './toy/broker.ts';

const bus = await createBus({ broker: toy() });
// #region unsupported
console.log(bus.capabilities.delay);
await bus
  .publish('reminders', {}, { delay: 1_000 })
  .catch((error) => console.log(error.code, '-', error.message));
await bus.subscribe('orders', () => {}, { from: 'earliest' }).catch((error) => console.log(error.message));
// #endregion unsupported
await bus.close();
