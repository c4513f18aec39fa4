import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ compress: true }); // gzip from 1,024 bytes on
const { bus, hub } = test;
const text = 'all work and no play makes a dull message. '.repeat(100);

// #region compress
await bus.publish('texts', text);
await bus.publish('texts', text, { compress: { algorithm: 'brotli', threshold: 100, level: 6 } });
await bus.publish('texts', text, { compress: false });
await bus.publish('texts', 'short');
// #endregion compress

for (const { contentEncoding, body } of hub.records('texts')) console.log(contentEncoding, body.length < 500);
