import { afterEach, describe, expect, test, vi } from 'vitest';
import { startServer } from '../../src/index.ts';
import { redis } from '../support/servers.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const native = { via: 'native', quiet: true } as const;

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

describe('startServer', () => {
  test('uses the server of the environment, which it empties but does not stop', async () => {
    await using own = await startServer('redis', { ...native, auth: 'user' });
    vi.stubEnv('AMB_REDIS_URL', own.url);
    const server = await startServer('redis', { quiet: true });
    expect(server.started).toBe('url');
    expect(server.url).toBe(own.url);
    expect(server.version).toBe(own.version);
    await redis(own, 'SET', 'a', '1');
    await server.wipe();
    expect(await redis(own, 'DBSIZE')).toBe(':0');
    await expect(server.restart()).rejects.toMatchObject({ code: 'CONFIG' });
    await expect(server.pause()).rejects.toThrow('AMB_REDIS_URL');
    const proxy = await server.proxy();
    expect(await redis({ ...own, port: proxy.port }, 'PING')).toBe('+PONG');
    await server.close();
    expect(await redis(own, 'PING')).toBe('+PONG');
  });

  test('attaches to NATS as well', async () => {
    await using own = await startServer('nats', { ...native, auth: 'token' });
    vi.stubEnv('AMB_NATS_URL', own.url);
    const server = await startServer('nats', { quiet: true });
    expect(server).toMatchObject({ started: 'url', version: own.version, port: own.port });
    await server.wipe();
  });

  test('does not take another one where that of the environment does not answer', async () => {
    vi.stubEnv('AMB_REDIS_URL', 'redis://127.0.0.1:1');
    await expect(startServer('redis', { quiet: true })).rejects.toMatchObject({ code: 'CONNECTION' });
  });

  test('starts one of its own, whatever the environment says, for what only that can do', async () => {
    vi.stubEnv('AMB_REDIS_URL', 'redis://127.0.0.1:1');
    await using server = await startServer('redis', { auth: 'password', quiet: true });
    expect(server.started).not.toBe('url');
    await using own = await startServer('redis', { via: ['docker', 'native'], quiet: true });
    expect(own.started).not.toBe('url');
  });

  test('can be forced by AMB_SERVER', async () => {
    vi.stubEnv('AMB_SERVER', 'native');
    await using server = await startServer('nats', { quiet: true });
    expect(server.started).toBe('native');
    await using named = await startServer('nats', { via: ['docker', 'native'], quiet: true });
    expect(named.started).toBe('native');
    vi.stubEnv('AMB_SERVER', 'magic');
    await expect(startServer('nats')).rejects.toThrow('AMB_SERVER must be "docker" or "native", not "magic"');
  });

  test('says once for each kind which way it took, and the version', async () => {
    const said: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
    const loud = { via: 'native' } as const;
    for (let times = 0; times < 2; times++) await (await startServer('redis', loud)).close();
    await (await startServer('nats', native)).close();
    expect(said).toEqual([expect.stringMatching(/^ambus redis: Redis \S+, native\n$/)]);
  });

  test('attaches to Azure Service Bus, and says what to do where it is not there', async () => {
    await using other = await startServer('redis', native);
    const url = `Endpoint=sb://127.0.0.1:${other.port};SharedAccessKey=x;UseDevelopmentEmulator=true;`;
    vi.stubEnv('AMB_SERVICEBUS_URL', url);
    await using server = await startServer('servicebus', { quiet: true });
    expect(server).toMatchObject({ started: 'url', url });
    const proxy = await server.proxy();
    expect(proxy.url).toBe(url.replace(String(other.port), String(proxy.port)));
    vi.stubEnv('AMB_SERVICEBUS_URL', url.replace('UseDevelopmentEmulator=true;', ''));
    const azure = await startServer('servicebus', { quiet: true });
    await expect(azure.proxy()).rejects.toMatchObject({ code: 'CONFIG' });
    vi.stubEnv('AMB_SERVICEBUS_URL', '');
    await expect(startServer('servicebus')).rejects.toThrow('set AMB_SERVICEBUS_URL');
  });

  test.each([
    ['cassandra', {}, /startServer kind must be "redis" or "nats"/],
    ['redis', { pasword: 'x' }, /option "pasword" does not exist/],
    ['redis', { cluster: 2 }, /"cluster" must be a whole number from 3 to 16, not 2/],
    ['redis', { cluster: 3, sentinels: 1 }, /needs no sentinels/],
    ['nats', { users: [] }, /auth: "user"/],
    ['nats', { via: 'magic' }, /"via" must be/],
    ['sqs', { tls: true }, /option "tls" does not exist/],
  ])('refuses %s with %o', async (kind, options, text) => {
    await expect(startServer(kind as 'redis', options as object)).rejects.toThrow(text);
  });
});
