import { sleep } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;

// #region timeout
await bus.subscribe(
  'prompts',
  async (msg) => {
    console.log('attempt', msg.attempt);
    if (msg.attempt === 2) {
      msg.extend(120_000); // two minutes from now, instead of one
      await sleep(clock, 100_000);
      return;
    }
    msg.signal.addEventListener('abort', () => console.log('aborted:', msg.signal.reason.message));
    await sleep(clock, 100_000);
  },
  { group: 'models', handlerTimeout: 60_000, retry: { delays: [1_000] } },
);
// #endregion timeout
await bus.publish('prompts', {});
await clock.advance(300_000);
console.log(bus.stats().acked, 'acked');
