import { createBus } from '@ambus/core';
import { protobuf } from '@ambus/core/protobuf';

// #region protobuf
const serializer = await protobuf({
  protoPath: `${import.meta.dirname}/shop.proto`, // a file, a directory, or several
  types: { 'orders.*.created': 'shop.OrderCreated' },
});
const bus = await createBus({ serializer });
// #endregion protobuf

await bus.subscribe('orders.*.created', (msg) =>
  console.log(msg.contentType, msg.body.length, 'bytes', msg.data),
);
await bus.publish('orders.7.created', { orderId: '7', quantities: [1, 2] });
await bus.publish('orders.7.created', { orderId: 7 }).catch((error) => console.log(error.message));
await bus.publish('orders.7.paid', {}).catch((error) => console.log(error.message));
await bus.close();
