import { createBus } from '@ambus/core';
import { MemoryHub, memory } from '@ambus/memory';

// #region hub
const hub = new MemoryHub(); // memory() without one shares the process's default hub
const orders = await createBus({ broker: memory({ hub }), source: 'orders' });
const billing = await createBus({ broker: memory({ hub, maxMessageBytes: 1_000 }), source: 'billing' });
// #endregion hub
const received: unknown[] = [];
await billing.subscribe('orders.created', (msg) => void received.push([msg.source, msg.data]), {
  group: 'b',
});
await orders.publish('orders.created', { id: 1 });

// #region look
hub.publish({ topic: 'orders.created', body: Buffer.from('raw') }); // a producer that is no bus
for (const { source, contentType, body } of hub.records('orders.created')) {
  console.log(source, contentType, body.length);
}
// #endregion look
await billing.publish('orders.billed', 'x'.repeat(1_000)).catch((error) => console.log(error.message));
await Promise.all([orders.close(), billing.close()]);
console.log(received);
