import { expect, it } from 'vitest';
import { createTestBus } from '../src/index.ts';

it('keeps no place in a group for calls that do not come any more, but while something is unsettled', async () => {
  await using test = await createTestBus({});
  const pull = async (topic: string) => {
    const pulled = test.bus.receive(topic, { group: 'g', timeout: 100, handlerTimeout: 3_600_000 });
    await test.clock.advance(1_000);
    return pulled;
  };
  for (let n = 0; n < 20; n++) await pull(`inbox.${n}`);
  await test.bus.publish('inbox.0', 'one');
  const [message] = await pull('inbox.0');
  expect(test.bus.stats().subscriptions).toBe(20);

  await test.clock.advance(1_000_000);
  expect(test.bus.stats().subscriptions).toBe(1);
  await message!.ack();
  await test.clock.advance(1_000_000);
  expect(test.bus.stats().subscriptions).toBe(0);

  await test.bus.publish('inbox.0', 'two');
  const [next] = await pull('inbox.0');
  expect(next!.data).toBe('two');
  await next!.ack();
});
