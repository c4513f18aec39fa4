import { createTestBus } from '@ambus/testing';

await using test = await createTestBus({ retry: { delays: [1_000] } });
const { bus, clock } = test;

for (const order of ['skip', 'block'] as const) {
  const handled: string[] = [];
  // #region order
  await bus.subscribe(
    `steps.${order}`,
    (msg) => {
      if (msg.data === 1 && msg.attempt === 1) throw new Error('not yet');
      handled.push(`${msg.key}${msg.data}`);
    },
    { group: 'workers', order },
  );
  for (const n of [1, 2]) await bus.publish(`steps.${order}`, n, { key: 'a' });
  await bus.publish(`steps.${order}`, 2, { key: 'b' });
  // #endregion order
  await clock.advance(1_000);
  console.log(order.padEnd(5), handled.join(' '));
}
