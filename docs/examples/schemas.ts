import { createBus, defineTopics } from '@ambus/core';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

// #region define
const topics = defineTopics({
  'orders.*.created': { schema: z.object({ id: z.number(), placed: z.coerce.date<string>() }) },
  'users.renamed': { schema: v.object({ name: v.pipe(v.string(), v.minLength(1)) }) },
  'stock.changed': { schema: type({ sku: 'string', left: 'number.integer >= 0' }) },
});
// #endregion define

// #region use
const bus = await createBus({ topics });
const received = Promise.withResolvers<void>();
await bus.subscribe('orders.*.created', (msg) => {
  const placed: Date = msg.data.placed; // what the schema makes of it
  console.log(msg.data.id, placed.getUTCFullYear());
  received.resolve();
});
await bus.publish('orders.7.created', { id: 7, placed: '2026-01-31' });
await received.promise;
// #endregion use

// #region invalid
await bus.publish('stock.changed', { sku: 'A1', left: -1 }).catch((error) => console.log(error.message));
await bus.publish('users.renamed', { name: '' }).catch((error) => console.log(error.issues));
// #endregion invalid
// #region types
// @ts-expect-error: the schema says what may be published
await bus.publish('users.renamed', { nam: 'Ana' }).catch((error) => console.log(error.code));
// #endregion types
await bus.close();
