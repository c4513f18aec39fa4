import { createBus } from '@ambus/core';

interface Order {
  id: number;
}

// #region types
const bus = await createBus<{ 'orders.created': Order; 'orders.cancelled': { reason: string } }>();
await bus.subscribe('orders.*', (msg) => console.log(msg.topic, msg.data)); // Order | { reason: string }
await bus.publish('orders.created', { id: 7 });

// @ts-expect-error: an order's id is a number
await bus.publish('orders.created', { id: '7' });
// @ts-expect-error: there is no such topic
await bus.publish('order.created', { id: 7 });
// #endregion types
await bus.close();
