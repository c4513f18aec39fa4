import { ClosedError, createBus } from '@ambus/core';

// #region connect
const bus = await createBus({ source: 'planner' }); // reads and checks the configuration
await bus.connect(); // optional: the first use connects
// #endregion connect
console.log(bus);

// #region subscriptions
const stop = new AbortController();
await bus.subscribe('jobs', () => {}, { signal: stop.signal });
const subscription = await bus.subscribe('mail', () => {});
stop.abort(); // ends the first
await subscription.unsubscribe(); // ends the second
console.log(bus.stats().subscriptions);
// #endregion subscriptions

// #region close
await Promise.all([bus.close(), bus.close()]); // twice is fine
await bus.publish('jobs', {}).catch((error) => console.log(ClosedError.is(error), error.message));
// #endregion close

// #region using
{
  await using short = await createBus();
  short.on('closed', () => console.log('closed with its block'));
}
// #endregion using
