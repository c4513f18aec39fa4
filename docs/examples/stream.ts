import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
for (const n of [1, 2, 3]) await bus.publish('readings', n);

// #region stream
for await (const msg of bus.stream('readings', { group: 'reader', from: 'earliest' })) {
  console.log(msg.data, 'attempt', msg.attempt);
  if (msg.data === 2) break; // 1 is acked, because 2 was asked for; 2 is not
}
for await (const msg of bus.stream('readings', { group: 'reader' })) {
  console.log(msg.data, 'attempt', msg.attempt);
  if (msg.data === 3) {
    await msg.ack(); // before the loop is left
    break;
  }
}
// #endregion stream

await clock.settle();
console.log(await bus.admin.listGroups());
