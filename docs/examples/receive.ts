import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
for (const n of [1, 2, 3]) await bus.publish('jobs', n);

// #region receive
const pulled = bus.receive('jobs', { group: 'cron', from: 'earliest', max: 2, timeout: 1_000 });
await clock.advance(1_000);
for (const msg of await pulled) {
  console.log(msg.data);
  await msg.ack(); // what is pulled is settled by hand
}
// #endregion receive
const rest = bus.receive('jobs', { group: 'cron', max: 10, timeout: 0 });
await clock.advance(1_000);
console.log((await rest).map((msg) => msg.data));
