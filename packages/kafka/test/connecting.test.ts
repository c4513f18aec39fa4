import { createServer } from 'node:net';
import { type Bus, ConnectionError, createBus } from '@ambus/core';
import type { Server } from '@ambus/testing';
import { describe, expect, it, vi } from 'vitest';
import { type KafkaOptions, kafka } from '../src/index.ts';
import { shared } from './support/shared.ts';

const makeBus = ({ host, port }: Server, options: KafkaOptions): Promise<Bus> =>
  createBus({ broker: kafka({ brokers: `${host}:${port}`, partitions: 2, ...options }) });

/** Whether a bus publishes and consumes. */
async function works(bus: Bus, topic: string): Promise<boolean> {
  const got: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void got.push(data), { group: 'g' });
  await bus.publish(topic, 1);
  await vi.waitFor(() => expect(got).toEqual([1]), 5_000);
  return true;
}

/** The error with which a bus is not made. */
async function refusal(bus: Promise<Bus>): Promise<ConnectionError> {
  await using made = await bus;
  const error = await made.connect().catch((failure: unknown) => failure);
  expect(ConnectionError.is(error)).toBe(true);
  return error as ConnectionError;
}

describe.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('credentials by %s', (mechanism) => {
  it('let in, also where nobody may write into them', { timeout: 60_000 }, async () => {
    const server = await shared({ auth: mechanism });
    const { user = '', password = '' } = server.credentials;
    const sasl = Object.freeze({ mechanism, username: user, password });
    await using bus = await makeBus(server, { sasl });
    expect(await works(bus, `in.${mechanism}`)).toBe(true);
  });

  it('are refused at once, and not shown', { timeout: 60_000 }, async () => {
    const server = await shared({ auth: mechanism });
    const sasl = { mechanism, username: 'nobody', password: 'hunter2' };
    const { message, retryable } = await refusal(makeBus(server, { sasl }));
    expect([retryable, message.includes('refused the credentials'), message.includes('hunter2')]).toEqual([
      false,
      true,
      false,
    ]);
  });
});

it('lets in whoever has a token', { timeout: 60_000 }, async () => {
  const server = await shared({ auth: 'oauthbearer' });
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  const token = `${part({ alg: 'none' })}.${part({ sub: 'me', iat: now, exp: now + 3_600 })}.`;
  const sasl = { mechanism: 'oauthbearer' as const, oauthBearerProvider: async () => ({ value: token }) };
  await using bus = await makeBus(server, { sasl });
  expect(await works(bus, 'in.oauthbearer')).toBe(true);
});

describe('a certificate of the client', () => {
  it('lets it in where the server asks for one', { timeout: 60_000 }, async () => {
    const server = await shared({ tls: 'mutual' });
    await using bus = await makeBus(server, { ssl: { ...server.tls! } });
    expect(await works(bus, 'in.mutual')).toBe(true);
  });

  it('is missed at once', { timeout: 60_000 }, async () => {
    const server = await shared({ tls: 'mutual' });
    const { retryable } = await refusal(makeBus(server, { ssl: { ca: server.tls!.ca } }));
    expect(retryable).toBe(false);
  });
});

it('does not take a connection that is cut while it logs in for a refusal', async () => {
  // Says that it takes PLAIN, and goes when it should look at the password.
  const server = createServer((socket) => {
    socket.on('data', (request) => {
      const [key, correlation] = [request.readInt16BE(4), request.subarray(8, 12)];
      if (key === 36) {
        socket.destroy();
        return;
      }
      const body =
        key === 18
          ? Buffer.from(
              '0000' + '00000003' + '001200000003' + '001100000001' + '002400000001' + '00000000',
              'hex',
            )
          : Buffer.from(`0000000000010005${Buffer.from('PLAIN').toString('hex')}`, 'hex');
      const size = Buffer.alloc(4);
      size.writeInt32BE(body.length + 4);
      socket.write(Buffer.concat([size, correlation, body]));
    });
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const sasl = { mechanism: 'plain' as const, username: 'me', password: 'right' };
  const broker = kafka({ brokers: `127.0.0.1:${port}`, sasl });
  const { retryable, message } = await refusal(createBus({ broker }));
  server.close();
  expect([retryable, message]).toEqual([true, expect.stringContaining('losed')]);
});

it('does not wait for a first address that says nothing', { timeout: 60_000 }, async () => {
  const held = createServer();
  await new Promise<void>((resolve) => held.listen(0, '127.0.0.1', resolve));
  const { port } = held.address() as { port: number };
  const server = await shared({ auth: 'plain' });
  const { user = '', password = '' } = server.credentials;
  const began = Date.now();
  await using bus = await makeBus(server, {
    brokers: [`127.0.0.1:${port}`, `${server.host}:${server.port}`],
    sasl: { mechanism: 'plain', username: user, password },
    connectionTimeout: 20_000,
  });
  await bus.connect();
  held.close();
  expect(Date.now() - began).toBeLessThan(5_000);
});
