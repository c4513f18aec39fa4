import { createTestBus } from '@ambus/testing';

await using test = await createTestBus();
const { bus, clock } = test;
const show = (who: string) => (msg: { data: { id: number } }) => console.log(who, msg.data.id);

// #region filters
await bus.subscribe('orders.created', show('by header'), {
  group: 'eu',
  filter: { headers: { region: { in: ['de', 'fr'] } } },
});
await bus.subscribe('orders.created', show('by data'), {
  group: 'large',
  filter: { data: { 'customer.vip': true, total: (total: unknown) => Number(total) > 100 } },
});
await bus.subscribe('orders.created', show('by function'), {
  group: 'even',
  filter: (msg) => msg.data.id % 2 === 0,
});
// #endregion filters

await bus.publish(
  'orders.created',
  { id: 1, total: 20, customer: { vip: true } },
  { headers: { region: 'de' } },
);
await bus.publish(
  'orders.created',
  { id: 2, total: 500, customer: { vip: true } },
  { headers: { region: 'us' } },
);
await clock.settle();
console.log(bus.stats().filtered, 'were filtered, and acked');
