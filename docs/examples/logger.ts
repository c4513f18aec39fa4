import { consoleLogger, type Logger } from '@ambus/core';
import { createTestBus } from '@ambus/testing';

// #region logger
const logger: Logger = {
  ...consoleLogger('error'), // standard error, from this level on
  warn: (fields, message) => console.log('warn', Object.keys(fields).join(' '), '-', message),
};
await using test = await createTestBus({ logger, retry: false });
// #endregion logger
const { bus, clock } = test;
await bus.subscribe('jobs', () => Promise.reject(new Error('broken')), { group: 'workers' });
await bus.publish('jobs', {});
await clock.settle();
