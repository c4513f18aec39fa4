import { ConfigError } from '@ambus/core';
import { describe, expect, it, vi } from 'vitest';
import { type NatsOptions, nats } from '../src/index.ts';
import { settings } from '../src/options.ts';

/** The error that `nats()` refuses these options with. */
function refusal(options: unknown): string {
  try {
    nats(options as NatsOptions);
  } catch (error) {
    expect(ConfigError.is(error)).toBe(true);
    return (error as Error).message;
  }
  throw new Error('they were accepted');
}

describe('an option that is not allowed is refused by name', () => {
  it.each([
    [{ url: 'redis://localhost' }, 'url'],
    [{ url: 'nats://a,redis://b' }, 'url'],
    [{ url: 'nats://a,' }, 'url'],
    [{ servers: [] }, 'servers'],
    [{ servers: ['nats://a', 'nope'] }, 'servers'],
    [{ lease: 499 }, 'lease'],
    [{ pingInterval: 0 }, 'pingInterval'],
    [{ maxPayload: 1 }, 'maxPayload'],
    [{ stream: { replicas: 6 } }, 'replicas'],
    [{ stream: { name: 'a.b' } }, 'name'],
    [{ tls: { cert: 1 } }, 'cert'],
    [{ domain: 'a b' }, 'domain'],
    [{ client: {} }, 'client'],
    [{ sever: 'nats://a' }, 'sever'],
    [{ url: 'nats://a', servers: 'nats://b' }, 'servers'],
    [{ token: 'a', user: 'b' }, 'token'],
    [{ password: 'a' }, 'user'],
    [{ jwt: 'a' }, 'nkey'],
    [{ nkey: 'garbage' }, 'nkey'],
  ])('%j', (options, name) => {
    expect(refusal(options)).toContain(`"${name}"`);
  });
});

it('takes several addresses with commas between them', () => {
  const { addresses } = settings({ url: 'nats://u:a,b@one:4222, nats://two,tls://three' });
  expect(addresses).toEqual(['nats://u:a,b@one:4222', 'nats://two', 'tls://three']);
});

it('shows no secret in an error', () => {
  const secrets = ['hunter2', 'SUAM'];
  for (const options of [
    { url: 'http://me:hunter2@host' },
    { url: 'nats://me:hunter2@host,http://me:hunter2@host' },
    { url: 'nats://me:hunter2,b://hunter2@host' },
    { url: 'nats://me:pa/hunter2@host' },
    { servers: ['nats://ok', 'http://me:hunter2@host'] },
    { url: 'nats://a', servers: 'nats://me:hunter2@b' },
    { token: 'hunter2', nkey: 'SUAM' },
    { nkey: 'SUAM' },
    { token: 'hunter2'.repeat(10_000) },
    { tls: 'hunter2' },
    { tls: { key: 'hunter2'.repeat(1_000_000) } },
    { authenticator: 'hunter2' },
    'nats://me:hunter2@host',
    'me:hunter2@host',
    'SUAM',
  ]) {
    const message = refusal(options);
    for (const secret of secrets) expect(message).not.toContain(secret);
  }
});

it('shows no secret of the environment in an error', () => {
  vi.stubEnv('AMB_NATS_URL', 'nats://me:pa/hunter2@host');
  expect(refusal(undefined)).not.toContain('hunter2');
  vi.unstubAllEnvs();
});
