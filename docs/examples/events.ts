import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: { delays: [1_000] } });
const { bus, clock } = test;

// #region on
const stop = bus.on('message.handled', ({ topic, group, attempt, duration }) => {
  console.log('handled', topic, 'in', group, 'attempt', attempt, `(${duration} ms)`);
});
bus.on('message.failed', ({ error }) => console.log('failed:', (error as Error).message));
bus.on('message.retried', ({ delay }) => console.log('again in', delay, 'ms'));
bus.on('message.dead_lettered', ({ reason, deadLetterId }) => console.log(reason, typeof deadLetterId));
// #endregion on

await bus.subscribe(
  'jobs',
  (msg) => {
    if (msg.data === 'bad') throw new Error('broken');
  },
  { group: 'workers' },
);
await bus.publish('jobs', 'good');
await bus.publish('jobs', 'bad');
await clock.advance(1_000);
stop(); // this listener goes

// #region stats
const { published, delivered, handled, failed, acked, retried, deadLettered } = bus.stats();
console.log({ published, delivered, handled, failed, acked, retried, deadLettered });
// #endregion stats
