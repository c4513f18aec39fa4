import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
await bus.subscribe('tasks.created', (msg) => {
  console.log(msg.topic, msg.data, msg.headers, msg.key, msg.type, msg.source, msg.priority);
});

// #region publish
const receipt = await bus.publish(
  'tasks.created',
  { id: 42 },
  {
    headers: { tenant: 'acme' }, // strings to strings
    key: 'tenant-7', // messages of one key stay in order
    type: 'com.example.task.created', // CloudEvents; default: the topic
    source: 'planner', // default: the bus's source
    priority: 'high', // critical, high, normal, low, background; or 0 to 4
    ttl: 60_000, // not handled when older than this
  },
);
console.log(Object.keys(receipt)); // the broker has stored it
// #endregion publish
await clock.settle();

// #region tick
// Publishes of one tick go to the broker together.
await Promise.all([1, 2, 3].map((id) => bus.publish('tasks.started', { id })));
// #endregion tick

// #region signal
const answer = bus.publish('tasks.created', {}, { signal: AbortSignal.abort() });
await answer.catch((error) => console.log(error.code, '-', error.message));
// #endregion signal

// #region refused
for (const attempt of [
  () => bus.publish('tasks..created', {}),
  () => bus.publish('tasks.created', {}, { ttl: -1 }),
  () => bus.publish('tasks.created', {}, { priorty: 'high' } as object),
  () => bus.publish('tasks.created', { at: Number.NaN }),
]) {
  await attempt().catch((error) => console.log(error.code, '-', error.message));
}
// #endregion refused
