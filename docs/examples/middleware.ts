import type { Middleware } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

// #region timing
const audit: Middleware = {
  name: 'audit',
  async publish(outgoing, next) {
    outgoing.options = { ...outgoing.options, headers: { ...outgoing.options.headers, user: 'ana' } };
    const receipt = await next(); // nothing is sent without it
    console.log('sent a', outgoing.kind, 'on', outgoing.topic);
    return receipt;
  },
  async consume(msg, next) {
    console.log('handling', msg.topic, 'for', msg.headers.user);
    const result = await next(); // the handler does not run without it
    console.log('done');
    return result;
  },
};
// #endregion timing

// #region change
const trimmed: Middleware = {
  consume: (msg, next) => next(typeof msg.data === 'string' ? msg.with({ data: msg.data.trim() }) : msg),
};
// #endregion change

await using test = await createTestBus({ middleware: [audit] }); // the first is the outermost
const { bus, clock } = test;
bus.use(trimmed); // inside those that are there; for subscriptions made from now on

await bus.subscribe('notes', (msg) => console.log(JSON.stringify(msg.data)), { group: 'notes' });
await bus.publish('notes', '  hello ');
await clock.settle();
await bus.respond('ping', () => 'pong');
console.log((await bus.request('ping')).data);
