import { createBus } from '@ambus/core';

const bus = await createBus();
const received = Promise.withResolvers<unknown>();

await bus.subscribe('greetings', (msg) => received.resolve(msg.data));
await bus.publish('greetings', { text: 'hello' });

console.log(await received.promise);
await bus.close();
