import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: { delays: [60_000] } });
const { bus, clock } = test;
const group = { group: 'billing' };
const workers = await bus.subscribe('orders.created', () => {}, group);
await workers.unsubscribe();
for (const id of [1, 2, 3]) await bus.publish('orders.created', { id });

// #region admin
const show = async (when: string) => {
  const [info] = await bus.admin.listGroups();
  console.log(
    when.padEnd(8),
    info?.group,
    'depth',
    info?.depth,
    'in flight',
    info?.inFlight,
    'members',
    info?.members,
  );
};
await show('waiting');
// #endregion admin
await bus.subscribe(
  'orders.created',
  (msg) => {
    if (msg.data.id === 2) throw new Error('broken');
  },
  group,
);
await clock.settle();
await show('retry');
await clock.advance(60_000);
await show('done');

// #region topics
for (const { topic, depth } of await bus.admin.listTopics()) console.log(topic, depth);
const page = await bus.admin.browse('orders.created', undefined, 10);
console.log(page.records.map(({ record }) => Buffer.from(record.body).toString()).join(' '));
console.log(await bus.admin.purge('orders.created'), 'removed');
// #endregion topics
