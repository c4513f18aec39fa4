import { connect } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { startServer } from '../../src/index.ts';
import { until } from '../../src/servers/process/until.ts';
import { isRunning, opens, reachableFrom, redis } from '../support/servers.ts';

const native = { via: 'native' } as const;

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

describe('a Redis server', () => {
  test('does not come back once it was closed', async () => {
    const server = await startServer('redis', { ...native, quiet: true });
    await server.close();
    await expect(server.start()).rejects.toThrow('the redis server was closed');
    await expect(server.restart()).rejects.toThrow('the redis server was closed');
  });

  test('keeps what it confirmed over kill -9, on the same port, in the midst of writes', async () => {
    await using server = await startServer('redis', native);
    let confirmed = 0;
    const writing = (async () => {
      for (;;) confirmed = Number((await redis(server, 'INCR', 'n')).slice(1));
    })().catch(() => {});
    await until(async () => {
      if (confirmed < 200) throw new Error('more');
    }, 10_000);
    const { port } = server;
    const [{ pid } = { pid: 0 }] = server.nodes;
    await server.kill9();
    await writing;
    expect(await opens(server.host, port)).toBe(false);
    await server.start();
    expect(server.port).toBe(port);
    expect(server.nodes[0]?.pid).not.toBe(pid);
    expect(Number(await redis(server, 'GET', 'n'))).toBeGreaterThanOrEqual(confirmed);
    expect(confirmed).toBeGreaterThanOrEqual(200);
  });

  test('ends and comes back with its data when it is stopped and started', async () => {
    await using server = await startServer('redis', native);
    await redis(server, 'SET', 'a', '1');
    await server.stop();
    expect(server.nodes[0]?.pid).toBeUndefined();
    await server.start();
    expect(await redis(server, 'GET', 'a')).toBe('1');
    await server.wipe();
    expect(await redis(server, 'DBSIZE')).toBe(':0');
  });

  test('does not answer while it is paused, and answers then', async () => {
    await using server = await startServer('redis', native);
    await server.pause();
    let answered = false;
    const answer = redis(server, 'PING').then((text) => {
      answered = true;
      return text;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(answered).toBe(false);
    await server.resume();
    expect(await answer).toBe('+PONG');
  });

  test('is ended for good by close, paused or not, and not reachable from outside before', async () => {
    const server = await startServer('redis', native);
    expect(await reachableFrom(server.port)).toEqual([]);
    const proxy = await server.proxy();
    await server.pause();
    const pid = server.nodes[0]?.pid ?? 0;
    await server.close();
    expect(isRunning(pid)).toBe(false);
    expect(await opens(proxy.host, proxy.port)).toBe(false);
  });

  test('shows its log when it does not start', async () => {
    const failing = startServer('redis', { ...native, args: ['--no-such-setting', '1'] });
    await expect(failing).rejects.toThrow(/no-such-setting/);
    await expect(failing).rejects.toMatchObject({ code: 'CONNECTION' });
  });

  test('lets in who has the password, and another one after rotate, also after a restart', async () => {
    await using server = await startServer('redis', { ...native, auth: 'password' });
    const old = server.credentials;
    await expect(redis({ ...server, credentials: {} }, 'PING')).rejects.toThrow('NOAUTH');
    expect(await redis(server, 'PING')).toBe('+PONG');
    const lingering = connect(server.port, server.host);
    const cut = new Promise((resolve) => lingering.on('close', resolve));
    lingering.on('error', () => {});
    await server.rotate();
    await cut;
    await expect(redis({ ...server, credentials: old }, 'PING')).rejects.toThrow('WRONGPASS');
    expect(server.url).toContain(server.credentials.password);
    await server.restart();
    expect(await redis(server, 'PING')).toBe('+PONG');
  });

  test.each(['kill9', 'pause'] as const)(
    'keeps its credentials when they are rotated after %s',
    async (power) => {
      await using server = await startServer('redis', { ...native, auth: 'password', replicas: 1 });
      const old = server.credentials;
      const [, replica] = server.nodes;
      await replica?.[power]();
      const refusal = await server.rotate().catch((error) => error);
      expect(server.credentials).toBe(old);
      await (power === 'kill9' ? replica?.start() : replica?.resume());
      await server.restart();
      expect(await redis(server, 'PING')).toBe('+PONG');
      expect(refusal.message).toContain(`n2 at port ${replica?.port} does not answer`);
      await server.rotate();
      for (const node of server.nodes) {
        expect(await redis({ ...server, host: node.host, port: node.port }, 'PING')).toBe('+PONG');
      }
    },
  );

  test('speaks TLS only, asks for a certificate, and has an ACL user', async () => {
    await using server = await startServer('redis', { ...native, auth: 'user', tls: 'mutual' });
    expect(server.url).toMatch(/^rediss:\/\/ambus:/);
    expect(await redis(server, 'ACL', 'WHOAMI')).toBe('ambus');
    const { ca = '' } = server.tls ?? {};
    const withoutCertificate = { ...server, tls: { ca, cert: '', key: '' } };
    await expect(redis(withoutCertificate, 'PING')).rejects.toThrow();
    await expect(redis({ ...server, tls: undefined }, 'PING')).rejects.toThrow();
  });

  test('forms a cluster whose nodes can be killed one by one', async () => {
    await using server = await startServer('redis', { ...native, cluster: 3 });
    expect(server.nodes).toHaveLength(3);
    expect(await redis(server, 'CLUSTER', 'INFO')).toContain('cluster_slots_ok:16384');
    const [, second] = server.nodes;
    await second?.kill9();
    expect(await opens('127.0.0.1', second?.port ?? 0)).toBe(false);
    expect(await redis(server, 'PING')).toBe('+PONG');
    await second?.start();
    await until(async () => {
      if (!(await redis(server, 'CLUSTER', 'INFO')).includes('cluster_state:ok')) throw new Error('not yet');
    }, 15_000);
  });

  test('fails over by Sentinel', async () => {
    await using server = await startServer('redis', { ...native, sentinels: 3 });
    const [master, replica] = server.nodes;
    if (master === undefined || replica === undefined) throw new Error('nodes');
    await master.kill9();
    await until(async () => {
      if (!(await redis(replica, 'INFO', 'replication')).includes('role:master')) throw new Error('not yet');
    }, 15_000);
  });

  test.each([
    ['8', /^Redis 8\./],
    ['valkey', /^Valkey 9\./],
  ] as const)(
    'comes as %s',
    async (version, text) => {
      await using server = await startServer('redis', { ...native, version });
      expect(server.version).toMatch(text);
      await redis(server, 'SET', 'a', '1');
      await server.restart();
      expect(await redis(server, 'GET', 'a')).toBe('1');
    },
    60_000,
  );
});
