import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: { delays: [1_000], maxRetries: 100 } });
const { bus, clock } = test;
const start = clock.now();
const say = (text: string) => console.log(`${(clock.now() - start) / 1_000} s`, text);
for (const state of ['opened', 'half_opened', 'closed'] as const) {
  bus.on(`circuit_breaker.${state}`, ({ topic, side }) => say(`${state} (${side} ${topic})`));
}
let up = false;

// #region subscribe
await bus.subscribe(
  'jobs',
  (msg) => {
    if (!up) throw new Error('the model does not answer');
    say(`handled ${msg.data}`);
  },
  { group: 'workers', circuitBreaker: { failureThreshold: 2, recoveryTimeout: 30_000, halfOpenRequests: 1 } },
);
// #endregion subscribe
for (const n of [1, 2, 3, 4]) await bus.publish('jobs', n);
await clock.advance(20_000);
say(`${bus.stats().failed} handlers failed, then none ran`);
up = true;
await clock.advance(11_000);
