import { createBus } from '@ambus/core';
import { msgpack } from '@ambus/core/msgpack';

// #region mixed
const old = await createBus(); // writes JSON …
const renewed = await createBus({ serializer: msgpack() }); // … writes MessagePack, and reads both
const between = await createBus({ serializers: [msgpack()] }); // writes JSON, and reads both
// #endregion mixed

const received: string[] = [];
for (const [name, bus] of Object.entries({ renewed, between })) {
  await bus.subscribe('samples', (msg) => {
    received.push(`${name} got ${msg.contentType} of ${msg.body.length} bytes`);
  });
}
await old.publish('samples', { id: 42, ok: true });
await renewed.publish('samples', { id: 42, ok: true });
for (const bus of [old, renewed, between]) await bus.close();
console.log(received.sort().join('\n'));
