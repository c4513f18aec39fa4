import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { BusError, ConfigError, ConnectionError, TimeoutError } from '@ambus/core';
import { startServer } from '@ambus/testing';
import { expect, it } from 'vitest';
import { avro } from '../src/avro/avro.ts';
import { type SchemaRegistryOptions, schemaRegistry } from '../src/index.ts';
import { gateway, type Intercepted } from './support/gateway.ts';
import { on, registry } from './support/registry.ts';

/** Lets through to the real registry what comes with a header. */
const guard = (authorization: string, secure?: { ca: string; cert: string; key: string }) =>
  gateway(
    ({ headers }) =>
      headers.authorization === authorization
        ? undefined
        : [401, '{"error_code":401,"message":"Unauthorized"}'],
    secure,
  );

const serializer = (options: SchemaRegistryOptions) =>
  avro({ registry: schemaRegistry(options), schemas: { '#': { schema: 'string' } } });

const STRING = { type: 'AVRO', text: '"string"', references: [] } as const;

const failure = async (work: unknown): Promise<BusError> => {
  const error = await Promise.resolve(work).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(BusError.is(error), String(error)).toBe(true);
  return error as BusError;
};

it('speaks basic authentication and bearer tokens', async () => {
  const basic = `Basic ${Buffer.from('me:p@ss:wörd').toString('base64')}`;
  await using guarded = await guard(basic);
  const url = `http://${guarded.address}`;
  const topic = registry.topic('auth');
  const body = await (await serializer({ url, auth: { user: 'me', password: 'p@ss:wörd' } })).serialize(
    'x',
    on(topic),
  );
  const inUrl = await serializer({ url: `http://me:${encodeURIComponent('p@ss:wörd')}@${guarded.address}` });
  expect(await inUrl.deserialize(body, on(topic))).toBe('x');
  await using tokens = await guard('Bearer abc');
  const token = await serializer({ url: `http://${tokens.address}`, auth: { token: 'abc' } });
  expect(await token.deserialize(body, on(topic))).toBe('x');
});

it('says that the password is wrong at once, and never what it was', async () => {
  await using guarded = await guard('Basic nobody');
  const secret = 'hunter2-secret';
  for (const options of [
    { url: `http://${guarded.address}`, auth: { user: 'me', password: secret } },
    { url: `http://${guarded.address}`, auth: { token: secret } },
    { url: `http://me:${secret}@${guarded.address}` },
  ]) {
    guarded.seen.requests = 0;
    const made = await serializer(options);
    const error = await failure(made.serialize('x', on('t')));
    expect(ConnectionError.is(error)).toBe(true);
    expect(error.retryable).toBe(false);
    expect(error.message).toContain('401');
    expect(guarded.seen.requests).toBe(1);
    const text =
      inspect(error, { depth: 10, showHidden: true }) + inspect(made, { depth: 10, showHidden: true });
    expect(text).not.toContain(secret);
    expect(text).not.toContain(Buffer.from(`me:${secret}`).toString('base64'));
  }
});

it('speaks TLS, with an authority of its own and a certificate of its own', async () => {
  await using server = await startServer('schema-registry', { tls: true, quiet: true });
  const { ca, cert, key } = server.tls!;
  const topic = registry.topic('tls');
  const trusting = await serializer({ url: server.url, tls: { ca } });
  const body = await trusting.serialize('x', on(topic));
  expect(await trusting.deserialize(body, on(topic))).toBe('x');
  const error = await failure((await serializer({ url: server.url, retries: 0 })).serialize('x', on(topic)));
  expect(ConnectionError.is(error)).toBe(true);
  expect(error.message).toMatch(/certificate/);

  await using guarded = await guard('Bearer t', { ca, cert, key });
  const common = { url: `https://${guarded.address}`, auth: { token: 't' }, retries: 0 };
  const known = await serializer({ ...common, tls: { ca, cert, key } });
  expect(await known.serialize('x', on(registry.topic('mtls')))).toBeInstanceOf(Uint8Array);
  await failure((await serializer({ ...common, tls: { ca } })).serialize('x', on(topic)));
  const broken = await failure(
    (await serializer({ ...common, tls: { ca, cert: 'x', key: 'SECRET' } })).serialize('x', on(topic)),
  );
  expect(broken.retryable).toBe(false);
  expect(inspect(broken)).not.toContain('SECRET');
});

it('starts while the registry is down, and works when it is there', async () => {
  await using proxy = await registry.server.proxy();
  proxy.cut();
  const made = await serializer({ url: proxy.url, timeout: 1_000 });
  const topic = registry.topic('down');
  const start = performance.now();
  const error = await failure(made.serialize('x', on(topic)));
  expect(performance.now() - start).toBeLessThan(4_000);
  expect(error.retryable).toBe(true);
  proxy.restore();
  const body = await made.serialize('x', on(topic));
  expect(await made.deserialize(body, on(topic))).toBe('x');
  // What it knows it needs nobody for.
  proxy.cut();
  expect(made.serialize('x', on(topic))).toEqual(body);
  expect(made.deserialize(body, on(topic))).toBe('x');
});

it('bridges a short outage by itself', async () => {
  await using proxy = await registry.server.proxy();
  proxy.cut();
  const made = await serializer({ url: proxy.url });
  const writing = made.serialize('x', on(registry.topic('short')));
  setTimeout(() => proxy.restore(), 300);
  expect(await writing).toBeInstanceOf(Uint8Array);
});

it('gives up a registry that does not answer, and one that answers too slowly', async () => {
  await using proxy = await registry.server.proxy();
  const options = { url: proxy.url, requestTimeout: 200, timeout: 700 };
  for (const fault of [() => proxy.blackhole(), () => proxy.delay(2_000)]) {
    fault();
    const start = performance.now();
    const error = await failure((await serializer(options)).serialize('x', on(registry.topic('slow'))));
    expect(performance.now() - start).toBeLessThan(4_000);
    expect(TimeoutError.is(error) || ConnectionError.is(error)).toBe(true);
    expect(error.retryable).toBe(true);
    proxy.restore();
  }
  proxy.delay(20);
  const patient = await serializer({ url: proxy.url });
  expect(await patient.serialize('x', on(registry.topic('slower')))).toBeInstanceOf(Uint8Array);
});

it('asks the next member when one does not answer', async () => {
  await using proxy = await registry.server.proxy();
  proxy.cut();
  const made = await serializer({ url: [proxy.url, registry.server.url] });
  expect(await made.serialize('x', on(registry.topic('members')))).toBeInstanceOf(Uint8Array);
});

it('asks once for what many want at once', async () => {
  const { seen, address, ...guarded } = await guard('Bearer t');
  await using _ = guarded;
  const topic = registry.topic('once');
  const auth = { token: 't' };
  const made = await serializer({ url: `http://${address}`, auth });
  const bodies = await Promise.all(Array.from({ length: 100 }, () => made.serialize('x', on(topic))));
  // Find, check, register, find.
  expect(seen.requests).toBeLessThanOrEqual(4);
  seen.requests = 0;
  const reader = await serializer({ url: `http://${address}`, auth });
  await Promise.all(bodies.map((body) => reader.deserialize(body, on('elsewhere'))));
  expect(seen.requests).toBe(1);
});

it.each([1, 'latest'] as const)(
  'looks version %s of a subject up once for all its topics',
  async (version) => {
    const { seen, address, ...guarded } = await guard('Bearer t');
    await using _ = guarded;
    const client = schemaRegistry({ url: `http://${address}`, auth: { token: 't' } });
    const subject = registry.topic('shared');
    await client.register(subject, STRING);
    seen.requests = 0;
    const made = await avro({ registry: client, schemas: { 'orders.#': { version, subject } } });
    const write = (n: number) => made.serialize('x', on(`orders.${n}`));
    await Promise.all([1, 2, 3].map(write));
    // What a subject has since become does not count: all topics go on alike.
    await registry.api('POST', `subjects/${subject}/versions`, { schema: '["string", "null"]' });
    expect(await write(4)).toEqual(write(1));
    expect(seen.requests).toBe(1);
  },
);

it('waits for a member that lags behind what was just registered', async () => {
  let misses = 0;
  await using front = await gateway(({ method, url }) => {
    const isLookup = method === 'POST' && /^\/subjects\/[^/]+$/.test(url!);
    return isLookup && ++misses <= 3 ? [404, '{"error_code":40403,"message":"Schema not found"}'] : undefined;
  });
  const topic = registry.topic('lagging');
  const made = await serializer({ url: `http://${front.address}` });
  expect(await made.serialize('x', on(topic))).toBeInstanceOf(Uint8Array);
  misses = 0;
  const impatient = await serializer({ url: `http://${front.address}`, retries: 1 });
  const error = await failure(impatient.serialize('x', on(registry.topic('lagging'))));
  expect(error.retryable).toBe(true);
  expect(error.message).toContain('for what was just registered');
});

it('survives a registry that is killed and comes back', async () => {
  await using server = await startServer('schema-registry', { via: 'native', quiet: true });
  const made = await serializer({ url: server.url });
  const body = await made.serialize('x', on('known'));
  await server.kill9();
  expect(made.serialize('x', on('known'))).toEqual(body);
  expect((await failure(made.serialize('x', on('new')))).retryable).toBe(true);
  await server.start();
  expect(await made.serialize('x', on('new'))).toBeInstanceOf(Uint8Array);
});

it('is no schema registry', async () => {
  const server = createServer((_, response) => response.end('<html>'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const error = await failure((await serializer({ url })).serialize('x', on('t')));
  expect(error.message).toContain('is this a schema registry?');
  server.close();
});

it.each(['{"message":"no Route matched with those values"}', 'default backend - 404', '{"error_code":404}'])(
  "takes a 404 that is not the registry's own for an outage: %s",
  async (body) => {
    let away: Intercepted;
    await using front = await gateway(() => away);
    const options = { url: `http://${front.address}`, retries: 1 };
    const topic = registry.topic('gateway');
    const framed = await (await serializer({ url: registry.server.url })).serialize('x', on(topic));
    away = [404, body];
    const made = await serializer(options);
    for (const work of [() => made.deserialize(framed, on(topic)), () => made.serialize('x', on(topic))]) {
      front.seen.requests = 0;
      const error = await failure(work());
      expect(ConnectionError.is(error), String(error)).toBe(true);
      expect(error.retryable).toBe(true);
      expect(front.seen.requests).toBe(2);
    }
    const remote = await avro({
      registry: schemaRegistry(options),
      schemas: { '#': { version: 1, subject: `${topic}-value` } },
    });
    expect((await failure(remote.serialize('x', on(topic)))).retryable).toBe(true);
    await expect(schemaRegistry(options).check(topic, STRING)).rejects.toThrow(ConnectionError);
    away = undefined;
    expect(await made.deserialize(framed, on(topic))).toBe('x');
    expect(await made.serialize('x', on(topic))).toEqual(framed);
    expect(await remote.serialize('x', on(topic))).toEqual(framed);
  },
);

it('compares with one version only where the registry is older', async () => {
  const topic = registry.topic('older');
  await using front = await gateway(({ url }) =>
    /versions\?/.test(url!) ? [404, '{"error_code":404,"message":"HTTP 404 Not Found"}'] : undefined,
  );
  const client = schemaRegistry({ url: `http://${front.address}` });
  await client.register(topic, STRING);
  expect(await client.check(topic, STRING)).toMatchObject({ compatible: true });
  expect(await client.check(topic, { ...STRING, text: '"int"' })).toMatchObject({ compatible: false });
});

it('takes its url from the environment, and checks options without showing secrets', () => {
  const saved = process.env.AMB_SCHEMA_REGISTRY_URL;
  try {
    delete process.env.AMB_SCHEMA_REGISTRY_URL;
    expect(() => schemaRegistry()).toThrow('AMB_SCHEMA_REGISTRY_URL');
    process.env.AMB_SCHEMA_REGISTRY_URL = 'http://a:8081,http://b:8081';
    schemaRegistry();
    process.env.AMB_SCHEMA_REGISTRY_URL = 'redis://me:SECRET@a';
    expect(() => schemaRegistry()).toThrow(/AMB_SCHEMA_REGISTRY_URL must be a url(?!.*SECRET)/);
  } finally {
    if (saved === undefined) delete process.env.AMB_SCHEMA_REGISTRY_URL;
    else process.env.AMB_SCHEMA_REGISTRY_URL = saved;
  }
  const url = 'http://127.0.0.1:1';
  const wrong: any[] = [
    { url: 'SECRET' },
    { url: ['http://a', 'ftp://SECRET@b'] },
    { url: [] },
    { url: 'http://a?SECRET' },
    { url, auth: { user: 'a' } },
    { url, auth: { user: 'a:b', password: 'SECRET' } },
    { url, auth: { token: 'SECRET SECRET' } },
    { url, auth: 'SECRET' },
    { url, tls: { key: 'SECRET' } },
    { url, tls: { pfx: 'SECRET' } },
    { url, timeout: 0 },
    { url, retries: -1 },
    { url, typo: 1 },
  ];
  for (const options of wrong) {
    const made = () => schemaRegistry(options);
    expect(made, JSON.stringify(options)).toThrow(ConfigError);
    expect(made).not.toThrow('SECRET');
  }
});
