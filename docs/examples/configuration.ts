import { createBus } from '@ambus/core';
import { MemoryHub, memory } from '@ambus/memory';

// #region bus
const bus = await createBus({
  broker: memory({ hub: new MemoryHub() }), // or 'memory', with its url beside it
  source: 'planner',
  topics: { 'cursors.#': { durability: 'ephemeral' } },
  retry: { maxRetries: 5 },
  publishTimeout: 5_000,
  logger: false,
});
// #endregion bus
console.log(bus.broker, bus.capabilities.limits.maxBodyBytes);
await bus.close();

// #region refused
process.env.AMB_SERIALIZER = 'xml';
await createBus().catch((error) => console.log(error.code, '-', error.message));
process.env.AMB_SERIALIZER = '';
for (const options of [
  { maxPending: 0 },
  { retires: 3 },
  { prefix: 'a b' },
  { url: 'redis://:secret@host' },
]) {
  await createBus(options).catch((error) => console.log(error.code, '-', error.message.split(';')[0]));
}
// #endregion refused
