import { createServer, type Server as TcpServer } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { startServer } from '../../src/index.ts';
import { natsKind } from '../../src/servers/nats/kind.ts';
import { freePorts } from '../../src/servers/process/ports.ts';
import { redisKind } from '../../src/servers/redis/kind.ts';
import { WAYS } from '../../src/servers/ways.ts';
import { redis } from '../support/servers.ts';

const native = { via: 'native', quiet: true } as const;

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

/** Somebody else's server, which answers as a Redis would. */
async function stranger(port: number): Promise<TcpServer & AsyncDisposable> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write('+PONG\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return Object.assign(server, {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  });
}

describe('a port that somebody else has taken', () => {
  test('is not mistaken for the server that comes back', async () => {
    await using server = await startServer('redis', native);
    await redis(server, 'SET', 'a', '1');
    await server.kill9();
    {
      await using _ = await stranger(server.port);
      for (const again of [server.start, server.restart, server.nodes[0]?.start]) {
        await expect(again?.()).rejects.toMatchObject({
          code: 'CONNECTION',
          message: `redis-server cannot start: port ${server.port} is already in use by another program`,
        });
      }
    }
    await server.start();
    expect(await redis(server, 'GET', 'a')).toBe('1');
  });

  test('is noticed on every port of a node', async () => {
    await using server = await startServer('nats', { ...native, cluster: 3, jetStream: false });
    const [node] = server.nodes;
    const route = Number(/route connections on 127\.0\.0\.1:(\d+)/i.exec((await node?.log()) ?? '')?.[1]);
    await node?.kill9();
    await using _ = await stranger(route);
    await expect(node?.start()).rejects.toThrow(`port ${route} is already in use`);
  });

  test('makes a new server take another one', async () => {
    const taken: (TcpServer & AsyncDisposable)[] = [];
    const kind = {
      ...redisKind,
      async plan(...args: Parameters<typeof redisKind.plan>) {
        const plan = await redisKind.plan(...args);
        if (taken.length === 0) taken.push(await stranger(plan.nodes[0]?.port ?? 0));
        return plan;
      },
    };
    await using server = await WAYS.native(kind, {});
    await using _ = taken[0] as TcpServer & AsyncDisposable;
    expect(server.nodes[0]?.pid).toBeDefined();
    expect(await redis(server, 'DBSIZE')).toBe(':0');
  });

  test('is none that a proxy is given, in whatever process, while a server is down', async () => {
    await using server = await startServer('redis', native);
    const proxies = await Promise.all(Array.from({ length: 200 }, () => server.proxy()));
    const servers = await freePorts(200);
    expect(Math.max(...proxies.map(({ port }) => port))).toBeLessThan(Math.min(server.port, ...servers));
  });

  test('is free again at once after kill -9, in the midst of connections', async () => {
    await using server = await startServer('redis', native);
    for (let times = 0; times < 5; times++) {
      await Promise.all(Array.from({ length: 50 }, () => redis(server, 'PING')));
      await server.restart();
    }
  });
});

describe('a server that ends as soon as it answers', () => {
  test('is not taken for one that serves', async () => {
    const kind = {
      ...natsKind,
      async plan(...args: Parameters<typeof natsKind.plan>) {
        const plan = await natsKind.plan(...args);
        const nodes = plan.nodes.map((node) => ({
          ...node,
          args: ['--no-such-flag'],
          ready: () => new Promise((resolve) => setTimeout(resolve, 1_000)),
        }));
        return { ...plan, nodes, version: async () => 'NATS' };
      },
    };
    await expect(WAYS.native(kind, {})).rejects.toThrow(/no-such-flag/);
  });
});
