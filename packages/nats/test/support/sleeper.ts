// A member of group "g" of topic "a" in a process of its own, which the test can put to sleep.
import { createBus } from '@ambus/core';
import { nats } from '../../src/index.ts';

const [, , url, prefix, lease] = process.argv;
const bus = await createBus({
  broker: nats({ url: url!, lease: Number(lease) }),
  prefix: prefix!,
  logger: false,
});
await bus.subscribe('a', ({ data, attempt }) => console.log(`${data} ${attempt}`), { group: 'g' });
console.log('ready');
