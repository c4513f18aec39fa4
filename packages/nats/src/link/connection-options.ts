import { readFileSync } from 'node:fs';
import { ConfigError } from '@ambus/core';
import type { ConnectionOptions } from 'nats';
import { parse, type Settings } from '../options.ts';
import { authenticator } from './credentials.ts';

/** Milliseconds between tries to connect again: from quick, for a server that restarts, to patient. */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 2_000;

/** Pings without an answer that a connection survives: a machine under load is not a dead one. */
const MAX_PINGS = 3;

/** What the driver is told. */
export function connectionOptions(settings: Settings, name: string, timeout: number): ConnectionOptions {
  const addresses = settings.addresses.map((address) => parse(address)!);
  const wantsTls = settings.tls !== undefined || addresses.some(({ protocol }) => protocol === 'tls:');
  let tries = 0;
  return {
    servers: addresses.map(({ host }) => host),
    name: settings.name ?? name,
    timeout: Math.min(timeout, 5_000),
    maxReconnectAttempts: -1,
    // Credentials may be changed on the server before they are here.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler() {
      if (++tries > 1_000) tries = 10;
      const wait = Math.min(FIRST_WAIT * 1.3 ** Math.min(tries, 20), LONGEST_WAIT);
      return wait / 2 + Math.random() * (wait / 2);
    },
    pingInterval: settings.pingInterval,
    maxPingOut: MAX_PINGS,
    noAsyncTraces: true,
    inboxPrefix: settings.inboxPrefix,
    authenticator: authenticator(settings, addresses[0]!),
    ...(wantsTls ? { tls: tlsOptions(settings) } : {}),
  };
}

function tlsOptions({ tls = {} }: Settings): NonNullable<ConnectionOptions['tls']> {
  const { caFile, certFile, keyFile, ...rest } = tls;
  const given = {
    ...rest,
    ca: read(tls.ca, caFile),
    cert: read(tls.cert, certFile),
    key: read(tls.key, keyFile),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function read(text: string | undefined, file: string | undefined): string | undefined {
  if (file === undefined) return text;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`nats: cannot read ${file}: ${(error as Error).message}`, { broker: 'nats' });
  }
}
