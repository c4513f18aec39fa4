import { createBus } from '@ambus/core';
import { startServer } from '@ambus/testing';
import { expect, it } from 'vitest';
import { nats } from '../src/index.ts';

it('asks at one node who has just begun to answer at another', async () => {
  await using server = await startServer('nats', { cluster: 3, quiet: true });
  const [first, second] = server.nodes.map(({ url }) => url);
  await using asker = await createBus({ broker: nats({ url: first! }), logger: false });
  await using answerer = await createBus({ broker: nats({ url: second! }), logger: false });
  for (let n = 0; n < 200; n++) {
    const topic = `fresh.${n}`;
    const subscription = await answerer.respond(topic, () => n);
    expect((await asker.request(topic, null)).data).toBe(n);
    await subscription.unsubscribe();
  }
  const asked = performance.now();
  await expect(asker.request('nobody', null, { timeout: 10_000 })).rejects.toMatchObject({
    code: 'NO_RESPONDERS',
  });
  expect(performance.now() - asked).toBeLessThan(2_000);
});
