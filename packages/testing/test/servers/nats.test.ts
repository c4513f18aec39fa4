import { describe, expect, test, vi } from 'vitest';
import { startServer } from '../../src/index.ts';
import { natsSession } from '../../src/servers/nats/session.ts';
import { until } from '../../src/servers/process/until.ts';
import { jetStream, opens, reachableFrom } from '../support/servers.ts';

const native = { via: 'native' } as const;
const stream = { name: 'a', subjects: ['a.>'], retention: 'limits', storage: 'file', num_replicas: 1 };

const messages = async (server: Parameters<typeof jetStream>[0]): Promise<number> =>
  ((await jetStream(server, 'STREAM.INFO.a')).state as { messages: number }).messages;

// The first run downloads the servers, and others may keep the computer busy.
vi.setConfig({ testTimeout: 120_000 });

describe('a NATS server', () => {
  test('keeps what JetStream confirmed over kill -9, in the midst of writes', async () => {
    await using server = await startServer('nats', native);
    expect(await reachableFrom(server.port)).toEqual([]);
    await jetStream(server, 'STREAM.CREATE.a', stream);
    let confirmed = 0;
    const { host, port } = server;
    const writing = natsSession({ host, port, answer: () => ({}) }, async ({ publish }) => {
      for (;;) {
        await publish('a.b', 'text');
        confirmed++;
      }
    }).catch(() => {});
    await until(async () => {
      if (confirmed < 500) throw new Error('more');
    }, 10_000);
    await server.kill9();
    await writing;
    await server.start();
    expect(await messages(server)).toBeGreaterThanOrEqual(confirmed);
    await server.wipe();
    expect(await jetStream(server, 'STREAM.NAMES')).toMatchObject({ total: 0 });
  });

  test.each(['user', 'token', 'nkey'] as const)(
    'lets in by %s, and another one after rotate',
    async (auth) => {
      await using server = await startServer('nats', { ...native, auth });
      const old = server.credentials;
      await expect(jetStream(server, 'INFO')).rejects.toThrow('Authorization Violation');
      await server.wipe();
      expect(await server.rotate()).not.toEqual(old);
      await server.wipe();
      await server.restart();
      await server.wipe();
    },
  );

  test('keeps its credentials when they are rotated after it was stopped', async () => {
    await using server = await startServer('nats', { ...native, auth: 'token' });
    const { credentials, url } = server;
    await server.stop();
    await expect(server.rotate()).rejects.toThrow(`n1 at port ${server.port} does not answer`);
    expect([server.credentials, server.url]).toEqual([credentials, url]);
    await server.start();
    await server.wipe();
  });

  test('lets in by JWT over TLS, and asks for a certificate', async () => {
    await using server = await startServer('nats', { ...native, auth: 'jwt', tls: 'mutual' });
    expect(server.credentials.creds).toContain('BEGIN NATS USER JWT');
    await server.wipe();
    await expect(server.rotate()).rejects.toMatchObject({ code: 'CONFIG' });
  });

  test('has further users with permissions of their own', async () => {
    const users = [
      { user: 'reader', password: 'secret', permissions: { publish: { deny: '$JS.API.STREAM.>' } } },
    ];
    await using server = await startServer('nats', { ...native, auth: 'user', users });
    const reader = {
      host: server.host,
      port: server.port,
      answer: () => ({ user: 'reader', pass: 'secret' }),
    };
    await expect(natsSession(reader, ({ jetStream: ask }) => ask('INFO'))).resolves.toHaveProperty('streams');
    await expect(natsSession(reader, ({ jetStream: ask }) => ask('STREAM.NAMES'))).rejects.toThrow(
      'Permissions',
    );
  });

  test('forms a cluster that lives on without one node', async () => {
    await using server = await startServer('nats', { ...native, cluster: 3 });
    await jetStream(server, 'STREAM.CREATE.a', { ...stream, num_replicas: 3 });
    const [first, second] = server.nodes;
    await second?.kill9();
    expect(await opens('127.0.0.1', second?.port ?? 0)).toBe(false);
    await until(() => jetStream(first ?? server, 'STREAM.INFO.a'), 20_000);
    await second?.start();
  });

  test('sends its clients away in lame-duck mode', async () => {
    await using server = await startServer('nats', { ...native, cluster: 3, jetStream: false });
    await server.nodes[0]?.signal('SIGUSR2');
    await until(async () => {
      if (!(await server.nodes[0]?.log())?.includes('lame duck')) throw new Error('not yet');
    }, 5_000);
  });
});
