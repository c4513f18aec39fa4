import { connect, createServer, type Server, type Socket } from 'node:net';
import { ConnectionError } from '@ambus/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until, type World, world } from './support/world.ts';

let w: World;
const proxies: { proxy: Server; sockets: Socket[] }[] = [];
beforeAll(async () => {
  w = await world();
});
afterAll(async () => {
  await w.close();
  for (const { proxy, sockets } of proxies) {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  }
});

/** Leads to the server, as far as a host that dies with one of these calls: from then on that connection is silent. */
async function dyingWith(call: RegExp, times: number): Promise<{ url: string; died(): number }> {
  const { hostname, port } = new URL(w.server.url);
  const sockets: Socket[] = [];
  let died = 0;
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname);
    let isDead = false;
    sockets.push(client, server);
    client.on('data', (bytes) => {
      if (!isDead && died < times && call.test(bytes.toString('latin1'))) {
        isDead = true;
        died++;
      }
      if (!isDead) server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (!isDead) client.write(bytes);
    });
    for (const socket of [client, server]) socket.on('error', () => {});
    client.on('close', () => server.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  proxies.push({ proxy, sockets });
  return { url: `redis://127.0.0.1:${(proxy.address() as { port: number }).port}`, died: () => died };
}

test('a server that is silent after it has greeted is given up in the time for connecting', async () => {
  const { url, died } = await dyingWith(/script\r\n.*EXISTS/s, Number.POSITIVE_INFINITY);
  const bus = await w.bus({ url }, { connectTimeout: 700 });
  const since = performance.now();
  const error = await bus.connect().catch((reason: unknown) => reason);
  expect(ConnectionError.is(error)).toBe(true);
  expect((error as Error).message).toContain('700 ms');
  expect(performance.now() - since).toBeLessThan(2_500);
  expect(died()).toBeGreaterThan(0);
});

test('a connection for reads that is silent after it has greeted is given up for another one', async () => {
  const { url, died } = await dyingWith(/client\r\n\$2\r\nID\r\n/i, 1);
  const bus = await w.bus({ url });
  await bus.subscribe('greeted', () => {}, { group: 'g' });
  await until(() => died() === 1);
  await until(async () => String(await w.raw.client('LIST')).includes(' cmd=xreadgroup '));
});
