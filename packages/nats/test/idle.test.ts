import { createBus } from '@ambus/core';
import { startServer } from '@ambus/testing';
import { connect, StringCodec } from 'nats';
import { expect, it } from 'vitest';
import { nats } from '../src/index.ts';

it('with a long lease hears of an idle consumer before it takes it for lost', async () => {
  await using server = await startServer('nats', { quiet: true });
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  const asked: { idle_heartbeat: number; expires: number }[] = [];
  client.subscribe('$JS.API.CONSUMER.MSG.NEXT.>', {
    callback: (_, { data }) => void asked.push(JSON.parse(StringCodec().decode(data))),
  });
  await client.flush();
  await using bus = await createBus({ broker: nats({ url: server.url, lease: 12 * 60 * 60 * 1_000 }) });
  const got: unknown[] = [];
  await bus.subscribe('idle', ({ data }) => void got.push(data));
  await bus.subscribe('idle', ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish('idle', 1);
  await expect.poll(() => got, { timeout: 5_000 }).toEqual([1, 1]);
  await expect.poll(() => asked.length).toBeGreaterThanOrEqual(2);
  // Nanoseconds; two of them within the 12 s of silence that are put up with.
  for (const { idle_heartbeat } of asked) expect(idle_heartbeat).toBeLessThanOrEqual(6e9);
  await client.close();
});
