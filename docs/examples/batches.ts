import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;

// #region batch
await bus.subscribe(
  'readings',
  async (messages) => {
    console.log(messages.map((msg) => msg.data).join(' '));
    for (const msg of messages) if (msg.data < 0) await msg.deadLetter('negative');
    // The others are acked when this resolves. If it rejects, they are all retried.
  },
  { group: 'store', ack: { batch: 3, maxWait: 50 } },
);
// #endregion batch

for (const value of [1, 2, 3, 4, -5]) await bus.publish('readings', value);
await clock.settle();
console.log('4 and -5 wait for a third');
await clock.advance(50);
console.log((await bus.deadLetters.list()).items.map((letter) => [letter.data, letter.reason]));
