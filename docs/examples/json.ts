import { createBus, json } from '@ambus/core';

const payload = { at: new Date(0), big: 2n ** 60n, raw: new Uint8Array([1, 2]), tags: new Set(['a']) };

async function roundTrip(serializer = json()): Promise<void> {
  const bus = await createBus({ serializer });
  const received = Promise.withResolvers<unknown>();
  await bus.subscribe('samples', (msg) => received.resolve(msg.data));
  await bus.publish('samples', payload).then(
    async () => console.log(await received.promise),
    (error) => console.log(error.message),
  );
  await bus.close();
}

// #region json
await roundTrip(); // by default what JSON has no form for is refused
await roundTrip(json({ dates: 'exact', bigints: 'exact', binary: 'exact', collections: 'exact' }));
// #endregion json
