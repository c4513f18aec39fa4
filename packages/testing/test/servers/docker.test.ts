import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../../src/index.ts';
import { noDocker, type TestDocker, testDocker } from '../support/docker.ts';
import { reachableFrom, redis } from '../support/servers.ts';

const reason = await noDocker();

describe.skipIf(reason !== undefined)(
  `servers in Docker${reason === undefined ? '' : ` (${reason})`}`,
  () => {
    let docker: TestDocker | undefined;

    beforeAll(async () => {
      docker = await testDocker();
      Object.assign(process.env, docker.env);
      process.stderr.write(`ambus docker: ${docker.images} images\n`);
    }, 120_000);

    afterAll(async () => {
      for (const name of Object.keys(docker?.env ?? {})) delete process.env[name];
      await docker?.close();
    }, 60_000);

    test('Redis keeps its data over kill -9, and is on loopback only', async () => {
      await using server = await startServer('redis', { via: 'docker', auth: 'password' });
      expect(server.started).toBe('docker');
      expect(server.version).toMatch(/^Redis 8\./);
      expect(await reachableFrom(server.port)).toEqual([]);
      expect(await redis(server, 'SET', 'a', '1')).toBe('+OK');
      await server.restart();
      expect(await redis(server, 'GET', 'a')).toBe('1');
      expect(await server.log()).toContain('Ready to accept connections');
      await server.wipe();
      expect(await redis(server, 'DBSIZE')).toBe(':0');
    }, 60_000);

    test('a paused server answers after it is resumed', async () => {
      await using server = await startServer('redis', { via: 'docker', quiet: true });
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
    }, 60_000);

    test('Redis and NATS have TLS and users in a container, too', async () => {
      await using secured = await startServer('redis', {
        via: 'docker',
        quiet: true,
        auth: 'user',
        tls: 'mutual',
      });
      expect(await redis(secured, 'ACL', 'WHOAMI')).toBe('ambus');
      await secured.rotate();
      await secured.restart();
      expect(await redis(secured, 'PING')).toBe('+PONG');
      await using nats = await startServer('nats', { via: 'docker', quiet: true, auth: 'jwt', tls: true });
      await nats.wipe();
    }, 60_000);

    test('a container that does not start shows its log and is removed', async () => {
      const failing = startServer('redis', { via: 'docker', args: ['--no-such-setting', '1'] });
      await expect(failing).rejects.toThrow(/no-such-setting/);
    }, 60_000);

    test('NATS with JetStream comes back after kill -9', async () => {
      await using server = await startServer('nats', { via: 'docker', auth: 'token' });
      expect(server.started).toBe('docker');
      await server.restart();
      await server.wipe();
      await server.rotate();
      await server.stop();
      await server.start();
    }, 60_000);

    test('without the way being named, Docker comes before native', async () => {
      await using server = await startServer('nats');
      expect(server.started).toBe('docker');
    }, 60_000);

    test('what needs processes of this computer is native all the same', async () => {
      await using server = await startServer('nats', { cluster: 3 });
      expect(server.started).toBe('native');
    }, 60_000);
  },
);
