import { ConfigError, createBus } from '@ambus/core';
import { type Server, startServer } from '@ambus/testing';
import { connect, type NatsConnection } from 'nats';
import { describe, expect, it } from 'vitest';
import { type NatsOptions, nats } from '../src/index.ts';
import { checkVersion } from '../src/server/version.ts';
import { RESTRICTED } from './support/setup.ts';

const address = ({ port }: Server): string => `nats://127.0.0.1:${port}`;

/** A message through a group and a request: the bus is let in, and may do its work. */
async function works(options: NatsOptions): Promise<void> {
  await using bus = await createBus({ broker: nats(options) });
  const came = Promise.withResolvers<unknown>();
  await bus.subscribe('a.b', ({ data }) => came.resolve(data), { group: 'g' });
  await bus.publish('a.b', 1);
  expect(await came.promise).toBe(1);
  await bus.respond('q', ({ data }) => data);
  expect((await bus.request('q', 2, { timeout: 5_000 })).data).toBe(2);
}

describe('who one is', () => {
  it('is told by user and password, in the options or the address', async () => {
    await using server = await startServer('nats', { auth: 'user', quiet: true });
    const { user = '', password = '' } = server.credentials;
    await works({ url: address(server), user, password });
    await works({ url: `nats://${user}:${password}@127.0.0.1:${server.port}` });
  });

  it('is told by a token, in the options or the address', async () => {
    await using server = await startServer('nats', { auth: 'token', quiet: true });
    const { token = '' } = server.credentials;
    await works({ url: address(server), token });
    await works({ url: `nats://${token}@127.0.0.1:${server.port}` });
  });

  it('is told by an nkey', async () => {
    await using server = await startServer('nats', { auth: 'nkey', quiet: true });
    await works({ url: address(server), nkey: server.credentials.seed ?? '' });
  });

  it('is told by a credentials file, or by its JWT and seed', async () => {
    await using server = await startServer('nats', { auth: 'jwt', quiet: true });
    const credentials = server.credentials.creds ?? '';
    await works({ url: address(server), credentials });
    const [jwt, nkey] = [...credentials.matchAll(/-----\n(\S+)\n/g)].map(([, text]) => text!);
    await works({ url: address(server), jwt, nkey });
  });

  it('is asked for its JWT and seed at each connection', async () => {
    await using server = await startServer('nats', { auth: 'jwt', quiet: true });
    const [jwt, nkey] = [...(server.credentials.creds ?? '').matchAll(/-----\n(\S+)\n/g)].map(
      ([, text]) => text!,
    );
    const asked = { jwt: 0, nkey: 0 };
    await using bus = await createBus({
      broker: nats({
        url: address(server),
        jwt() {
          asked.jwt++;
          return jwt!;
        },
        nkey() {
          asked.nkey++;
          return nkey!;
        },
      }),
    });
    await bus.publish('a', 1);
    const before = { ...asked };
    await server.restart();
    await bus.publish('a', 2);
    expect(asked.jwt).toBeGreaterThan(before.jwt);
    expect(asked.nkey).toBeGreaterThan(before.nkey);
  });

  it('is refused for good where the seed is none, without showing it', async () => {
    await using server = await startServer('nats', { auth: 'nkey', quiet: true });
    for (const nkey of [`SU${'A'.repeat(56)}`, () => 'garbage']) {
      const bus = await createBus({ broker: nats({ url: address(server), nkey }) });
      const failed = bus.connect();
      await expect(failed).rejects.toSatisfy(ConfigError.is);
      await expect(failed).rejects.not.toThrow(/AAAA|garbage/);
      await bus.close();
    }
  });

  it('is told by a certificate', async () => {
    await using server = await startServer('nats', { tls: 'mutual', quiet: true });
    const { ca, cert, key } = server.tls!;
    await works({ url: `tls://127.0.0.1:${server.port}`, tls: { ca, cert, key } });
    const bus = await createBus({
      broker: nats({ url: `tls://127.0.0.1:${server.port}`, tls: { ca } }),
      connectTimeout: 3_000,
    });
    await expect(bus.connect()).rejects.toThrow('cannot connect');
    await bus.close();
  });

  it('is asked for again when the connection is made anew', async () => {
    await using server = await startServer('nats', { auth: 'token', quiet: true });
    await using bus = await createBus({
      broker: nats({ url: address(server), token: () => server.credentials.token ?? '' }),
    });
    await bus.publish('a', 1);
    await server.rotate();
    await bus.publish('a', 2);
    expect((await bus.admin.listTopics())[0]?.depth).toBe(2);
  });
});

it('orders keys with an account that may create nothing', async () => {
  await using server = await startServer('nats', { auth: 'user', users: [RESTRICTED], quiet: true });
  const { user = '', password = '' } = server.credentials;
  const [topic, group] = ['a.b', 'g'];
  await using owner = await createBus({ broker: nats({ url: address(server), user, password }) });
  await owner.admin.ensureGroup(topic, group, 'new');
  // A lane of keys is a consumer of its own, which only who may create makes.
  const made = await owner.subscribe(topic, () => {}, { group });
  await owner.publish(topic, 'first', { key: 'k' });
  await expect.poll(() => owner.stats().acked, { timeout: 5_000 }).toBe(1);
  await made.unsubscribe();
  await using bus = await createBus({
    broker: nats({ url: address(server), user: RESTRICTED.user, password: RESTRICTED.password }),
    provision: 'none',
  });
  const seen: unknown[] = [];
  await bus.subscribe(topic, ({ data }) => void seen.push(data), { group });
  for (let n = 1; n <= 20; n++) await bus.publish(topic, n, { key: 'k' });
  await expect.poll(() => seen, { timeout: 10_000 }).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
});

it('uses a connection that exists already, and leaves it open', async () => {
  await using server = await startServer('nats', { quiet: true });
  const client = await connect({ servers: `127.0.0.1:${server.port}` });
  await works({ client });
  expect(client.isClosed()).toBe(false);
  await client.close();
});

describe('a server that cannot hold durable topics is refused at once', () => {
  async function refused(server: Server, options: NatsOptions, text: string): Promise<void> {
    await using bus = await createBus({
      broker: nats({ url: address(server), ...options }),
      publishTimeout: 20_000,
    });
    const start = Date.now();
    for (const failed of [bus.publish('a', 1), bus.subscribe('a', () => {}, { group: 'g' })]) {
      await expect(failed).rejects.toThrow(text);
      await expect(failed).rejects.toSatisfy(ConfigError.is);
    }
    expect(Date.now() - start).toBeLessThan(5_000);
  }

  it('without JetStream', async () => {
    await using server = await startServer('nats', { jetStream: false, quiet: true });
    await refused(server, {}, 'JetStream');
    await using bus = await createBus({
      broker: nats({ url: address(server) }),
      topics: { '#': { durability: 'ephemeral' } },
    });
    await bus.publish('a', 1);
  });

  it('with another domain, or too few servers', async () => {
    await using server = await startServer('nats', { quiet: true });
    await refused(server, { domain: 'nowhere' }, '"domain"');
    await refused(server, { stream: { replicas: 3 } }, 'replicas');
  });
});

it.each([
  ['2.9.25', false],
  ['2.10.29', false],
  ['2.11.0', true],
  ['2.12.0-beta.1', true],
  ['3.0.0', true],
  [undefined, true],
])('takes nats-server %s: %s', (version, isTaken) => {
  if (isTaken) checkVersion(version);
  else expect(() => checkVersion(version)).toThrow(`nats-server ${version}, at least 2.11`);
});

it('works in a JetStream domain, and with an inbox of its own', async () => {
  await using server = await startServer('nats', {
    jetStream: false,
    config: 'jetstream { store_dir: data, domain: hub }',
    auth: 'user',
    users: [
      {
        user: 'boxed',
        password: 'a-password-of-its-own',
        permissions: { subscribe: { deny: ['_INBOX.>'] } },
      },
    ],
    quiet: true,
  });
  await works({
    url: address(server),
    user: 'boxed',
    password: 'a-password-of-its-own',
    domain: 'hub',
    inboxPrefix: 'BOX.mine',
  });
});

it('speaks TLS from the first byte where the server wants it', async () => {
  await using server = await startServer('nats', { tls: 'first', quiet: true });
  await works({ url: server.url, tls: { ca: server.tls!.ca, handshakeFirst: true } });
});

it('refuses a server that takes smaller messages than it was told, and leaves no connection', async () => {
  await using server = await startServer('nats', { config: 'max_payload: 100KB', quiet: true });
  await using proxy = await server.proxy();
  const bus = await createBus({ broker: nats({ url: `nats://127.0.0.1:${proxy.port}` }) });
  await expect(bus.connect()).rejects.toThrow('maxPayload');
  await bus.close();
  await expect.poll(() => proxy.connections).toBe(0);
  await works({ url: address(server), maxPayload: 100 * 1024 });
});

it('goes to another server when its own is about to go', async () => {
  await using server = await startServer('nats', { cluster: 3, quiet: true });
  await using bus = await createBus({
    broker: nats({ servers: server.nodes.map(({ url }) => url), stream: { replicas: 3 } }),
    publishTimeout: 20_000,
  });
  const seen = new Set<unknown>();
  await bus.subscribe('a', ({ data }) => void seen.add(data), { group: 'g' });
  await bus.publish('a', 0);
  const client = bus.native() as NatsConnection;
  const own = server.nodes.find(({ port }) => client.getServer().endsWith(`:${port}`))!;
  await own.signal('SIGUSR2');
  await expect.poll(() => client.getServer(), { timeout: 10_000 }).not.toContain(`:${own.port}`);
  for (let n = 1; n <= 20; n++) await bus.publish('a', n);
  await expect.poll(() => seen.size, { timeout: 20_000 }).toBe(21);
}, 60_000);

it('goes on when the leader of its stream is killed', async () => {
  await using server = await startServer('nats', { cluster: 3, quiet: true });
  await using bus = await createBus({
    broker: nats({ servers: server.nodes.map(({ url }) => url), stream: { replicas: 3 } }),
    publishTimeout: 30_000,
  });
  const seen = new Set<unknown>();
  await bus.subscribe('a', ({ data }) => void seen.add(data), { group: 'g' });
  await bus.publish('a', 0);
  const client = bus.native() as NatsConnection;
  const { cluster } = await (await client.jetstreamManager()).streams.info('ambus');
  const leader = server.nodes.find(({ name }) => name === cluster?.leader)!;
  await leader.kill9();
  for (let n = 1; n <= 20; n++) await bus.publish('a', n);
  await expect.poll(() => seen.size, { timeout: 40_000 }).toBe(21);
}, 90_000);
