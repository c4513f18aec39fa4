import { describe, expect, test } from 'vitest';
import { startServer } from '../../src/index.ts';
import { kafkaMetadata } from '../../src/servers/kafka/wire.ts';
import { until } from '../../src/servers/process/until.ts';
import { opens, reachableFrom } from '../support/servers.ts';

const native = { via: 'native' } as const;
/** A first start downloads Kafka and runs it once for its classes. */
const LONG = 180_000;

describe('a Kafka server', () => {
  test.each(['4.3', '3.9'] as const)(
    'of version %s comes back after kill -9, and can be emptied',
    async (version) => {
      await using server = await startServer('kafka', { ...native, version });
      expect(server.version).toContain(version);
      expect(await reachableFrom(server.port)).toEqual([]);
      await createTopic(server.port, 'kept');
      await server.restart();
      await until(async () => {
        expect((await kafkaMetadata(server.host, server.port)).topics).toEqual(['kept']);
      }, 10_000);
      await server.wipe();
      expect((await kafkaMetadata(server.host, server.port)).topics).toEqual([]);
    },
    LONG,
  );

  test(
    'asks for credentials over TLS',
    async () => {
      await using server = await startServer('kafka', { ...native, auth: 'scram-sha-256', tls: true });
      expect(server.credentials).toMatchObject({ user: 'ambus', password: expect.any(String) });
      expect(await opens(server.host, server.port)).toBe(true);
      await expect(kafkaMetadata(server.host, server.port)).rejects.toThrow();
    },
    LONG,
  );

  test(
    'forms a cluster that lives on without one broker',
    async () => {
      await using server = await startServer('kafka', { ...native, cluster: 3 });
      const [first, second] = server.nodes;
      if (first === undefined || second === undefined) throw new Error('nodes');
      await second.kill9();
      await until(async () => {
        expect((await kafkaMetadata(first.host, first.port)).brokers).toBe(2);
      }, 30_000);
      await second.start();
      await until(async () => {
        expect((await kafkaMetadata(first.host, first.port)).brokers).toBe(3);
      }, 30_000);
    },
    LONG,
  );
});

/** Version 2 of CreateTopics, by hand. */
async function createTopic(port: number, name: string): Promise<void> {
  const { connect } = await import('node:net');
  const bytes = Buffer.from(name);
  const body = Buffer.concat([
    Buffer.from([0, 19, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, bytes.length]),
    bytes,
    // One partition, one copy, nothing assigned, no settings; five seconds; not only checked.
    Buffer.from([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x13, 0x88, 0]),
  ]);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat([size, body])));
    socket.on('error', reject);
    socket.on('data', () => {
      socket.destroy();
      resolve();
    });
  });
}
