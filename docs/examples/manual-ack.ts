import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
bus.on('message.retried', ({ attempt, delay }) => console.log('attempt', attempt, 'retried in', delay, 'ms'));
bus.on('message.dead_lettered', ({ reason }) => console.log('dead-lettered:', reason));

// #region manual
await bus.subscribe(
  'jobs',
  async (msg) => {
    console.log('attempt', msg.attempt);
    if (msg.attempt === 1)
      await msg.nack({ delay: 5_000 }); // again, in five seconds
    else if (msg.attempt === 2)
      await msg.requeue(); // again, at once
    else await msg.deadLetter('no such customer'); // never again
  },
  { group: 'workers', ack: 'manual' },
);
// #endregion manual

await bus.publish('jobs', {});
await clock.advance(5_000);

// #region twice
await bus.subscribe(
  'mail',
  async (msg) => {
    await msg.ack();
    await msg.ack(); // the same again is ignored
    await msg.nack().catch((error) => console.log(error.code, '-', error.message.replace(msg.id, '<id>')));
  },
  { group: 'workers', ack: 'manual' },
);
// #endregion twice
await bus.publish('mail', {});
await clock.settle();
