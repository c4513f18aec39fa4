import { ScatterError } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
await bus.respond('quotes', () => 100, { group: 'acme' });
await bus.respond('quotes', () => 100, { group: 'acme' }); // the same group: one answer of the two
await bus.respond('quotes', () => 90, { group: 'bolt' });

// #region scatter
const all = bus.scatter('quotes', { sku: 'A1' }, { timeout: 500 }); // all that come in time
await clock.advance(500);
console.log((await all).map(({ responder, data }) => `${responder} ${data}`).sort());
const two = await bus.scatter('quotes', { sku: 'A1' }, { max: 2 }); // done with the second
console.log(two.length);
const three = bus.scatter('quotes', { sku: 'A1' }, { min: 3, timeout: 500 });
three.catch((error) => ScatterError.is(error) && console.log(error.message, '-', error.replies.length));
await clock.advance(500);
// #endregion scatter

// #region first
await bus.respond('cache.eu', () => {
  throw new Error('not there');
});
await bus.respond('cache.us', () => 'found');
const first = await bus.requestFirst(['cache.eu', 'cache.us', 'cache.asia'], { key: 'k' });
console.log(first.data);
// #endregion first
