import { PublishError } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, hub } = test;

// #region many
try {
  await bus.publishMany([
    { topic: 'tasks.created', data: { id: 1 } },
    { topic: 'tasks.created', data: { id: 2n } }, // JSON has no form for a bigint
    { topic: 'tasks.created', data: { id: 3 }, key: 'tenant-7' },
  ]);
} catch (error) {
  if (!PublishError.is(error)) throw error;
  for (const { index, error: cause } of error.failures) console.log(index, cause.code, '-', cause.message);
}
// #endregion many
console.log(hub.records('tasks.created').length, 'are stored');
