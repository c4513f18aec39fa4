import { createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nats } from '../src/index.ts';

let server: Server;
beforeAll(async () => {
  server = await startServer('nats', { quiet: true });
});
afterAll(() => server.close());

it('others get the keys of a paused member once its slow handler has ended', async () => {
  const broker = () => nats({ url: server.url });
  await using a = await createBus({ broker: broker(), logger: false });
  await using b = await createBus({ broker: broker(), logger: false });
  const slow = Promise.withResolvers<void>();
  let begun = 0;
  const paused = await a.subscribe(
    'slow.key',
    () => {
      begun++;
      return slow.promise;
    },
    { group: 'g', prefetch: 1 },
  );
  await a.publish('slow.key', 'first', { key: 'k' });
  await expect.poll(() => begun, { timeout: 5_000 }).toBe(1);
  await paused.pause();
  const got: unknown[] = [];
  await b.subscribe('slow.key', ({ data }) => void got.push(data), { group: 'g' });
  await b.publish('slow.key', 'second', { key: 'k' });
  // Longer than a hand-over is patient.
  setTimeout(slow.resolve, 2_700);
  await slow.promise;
  await expect.poll(() => got, { timeout: 3_000 }).toEqual(['second']);
});
