import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ServerKind, startServer } from '../../src/index.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

const VARIABLES: Readonly<Record<ServerKind, string>> = {
  redis: 'AMB_REDIS_URL',
  nats: 'AMB_NATS_URL',
  kafka: 'AMB_KAFKA_BROKERS',
  sqs: 'AMB_SQS_ENDPOINT',
  servicebus: 'AMB_SERVICEBUS_URL',
  'schema-registry': 'AMB_SCHEMA_REGISTRY_URL',
};

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === '::1');

async function refusal(kind: ServerKind, value: string): Promise<Error & { code?: string }> {
  vi.stubEnv(VARIABLES[kind], value);
  return startServer(kind, { via: 'url', quiet: true }).then(
    () => new Error('it was attached to'),
    (error) => error,
  );
}

describe('an address in the environment', () => {
  test.each([
    ['redis', 'localhost:6380'],
    ['redis', '127.0.0.1:6379'],
    ['redis', 'redis:localhost:6380'],
    ['redis', 'redis:///3'],
    ['redis', 'redis://a:6379,b:6379'],
    ['redis', 'redis://a:99999'],
    ['redis', 'redis://%zz@a'],
    ['redis', 'http://a:6379'],
    ['nats', 'localhost:4222'],
    ['nats', 'nats://a,nats://b'],
    ['sqs', 'localhost:4566'],
    ['sqs', 'http://'],
    ['schema-registry', 'localhost:8081'],
    ['schema-registry', 'http://a:8081,http://b:8081'],
    ['kafka', 'localhost'],
    ['kafka', 'localhost:99999'],
    ['kafka', 'localhost:9092x'],
    ['kafka', 'kafka://localhost:9092'],
    ['servicebus', 'Endpoint=http://a;UseDevelopmentEmulator=true'],
    ['servicebus', 'Endpoint=sb://:5672;UseDevelopmentEmulator=true'],
    ['servicebus', 'Endpoint=sb://a:99999;UseDevelopmentEmulator=true'],
  ] as const)('of %s is not %s', async (kind, value) => {
    const { code, message } = await refusal(kind, value);
    expect(message).toContain(`environment variable ${VARIABLES[kind]}`);
    expect(message).toMatch(/ must be .*host:port/);
    expect(message).toMatch(/, not "[^"]*"$/);
    expect(code).toBe('CONFIG');
  });

  test.each([
    ['redis', 'me:SECRET@localhost:6379'],
    ['redis', 'redis://me:SECRET@a,b'],
    ['redis', 'redis://me:SEC/RET@a'],
    ['nats', 'nats://SECRET@a,nats://SECRET@b'],
    ['sqs', 'ftp://me:SECRET@a'],
    ['kafka', 'kafka://me:SECRET@a:9092'],
    ['servicebus', 'SharedAccessKey=SECRET'],
    ['servicebus', 'Endpoint=sb://a:b;SharedAccessKey=SECRET'],
  ] as const)('of %s keeps its secret where it is refused: %s', async (kind, value) => {
    expect(inspect(await refusal(kind, value))).toMatch(/must be (?!.*(SEC|RET))/s);
  });

  test.skipIf(!hasIpv6)('may be one of IPv6', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write('$22\r\nredis_version:7.0.15\r\n\r\n'));
    });
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
    const { port } = server.address() as AddressInfo;
    vi.stubEnv('AMB_REDIS_URL', `redis://[::1]:${port}`);
    expect(await startServer('redis', { quiet: true })).toMatchObject({
      host: '::1',
      port,
      version: 'Redis 7.0.15',
    });
    vi.stubEnv('AMB_SERVICEBUS_URL', `Endpoint=sb://[::1]:${port};UseDevelopmentEmulator=true`);
    expect(await startServer('servicebus', { quiet: true })).toMatchObject({ host: '::1', port });
    await new Promise((resolve) => server.close(resolve));
  });

  test('keeps the password of a registry that lets nobody in, or is not there', async () => {
    const registry = createServer((_, response) => response.writeHead(401).end('no'));
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    const { port } = registry.address() as AddressInfo;
    const url = `http://me:SECRET@127.0.0.1:${port}`;
    const refused = await refusal('schema-registry', url);
    expect(refused).toMatchObject({ code: 'CONNECTION' });
    expect(refused.message).toBe(`http://127.0.0.1:${port}/subjects answers 401: no`);
    await new Promise((resolve) => registry.close(resolve));
    const gone = await refusal('schema-registry', url);
    expect(gone).toMatchObject({ code: 'CONNECTION' });
    expect(gone.message).toContain(`http://127.0.0.1:${port}/subjects: connect ECONNREFUSED`);
    expect(inspect(gone)).not.toContain('SECRET');
  });
});
