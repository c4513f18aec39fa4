import { createBus, type Serializer } from '@ambus/core';

// #region own
const csv: Serializer = {
  contentType: 'text/csv',
  serialize: (rows) => Buffer.from((rows as unknown[][]).map((row) => row.join(',')).join('\n')),
  deserialize: (body) =>
    Buffer.from(body)
      .toString()
      .split('\n')
      .map((row) => row.split(',')),
};
const bus = await createBus({ topics: [{ pattern: 'reports.#', serializer: csv }] }); // for these topics only
// #endregion own

await bus.subscribe('#', (msg) => console.log(msg.topic, msg.contentType, msg.data));
await bus.publish('reports.daily', [
  ['a', 1],
  ['b', 2],
]);
await bus.publish('other', { id: 1 });
await bus.publish('files', new Uint8Array([104, 105])); // bytes need no serializer
await bus.close();
