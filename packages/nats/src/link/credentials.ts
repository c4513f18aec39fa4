import { ConfigError } from '@ambus/core';
import {
  type Authenticator,
  credsAuthenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats';
import type { Changing, Settings } from '../options.ts';

const current = <T>(changing: Changing<T>): T =>
  typeof changing === 'function' ? (changing as () => T)() : changing;

/** Credentials are asked for at each connection, so that those that were rotated are taken up. */
export function authenticator(settings: Settings, { username, password }: URL): Authenticator {
  const { authenticator: own, user, password: secret, token, nkey, jwt, credentials } = settings;
  const bytes = (text: Changing<string>) => () => new TextEncoder().encode(current(text));
  const seed = () => seedOf(current(nkey ?? ''));
  if (own !== undefined) return own;
  if (credentials !== undefined) return credsAuthenticator(bytes(credentials));
  if (jwt !== undefined && nkey !== undefined) return jwtAuthenticator(() => current(jwt), seed);
  if (nkey !== undefined) return nkeyAuthenticator(seed);
  if (token !== undefined) return tokenAuthenticator(() => current(token));
  if (user !== undefined) {
    return usernamePasswordAuthenticator(
      () => current(user),
      () => current(secret ?? ''),
    );
  }
  if (password !== '')
    return usernamePasswordAuthenticator(decodeURIComponent(username), decodeURIComponent(password));
  if (username !== '') return tokenAuthenticator(decodeURIComponent(username));
  return () => undefined;
}

/** @throws {ConfigError} when it is none; it is not shown */
function seedOf(text: string): Uint8Array {
  const seed = new TextEncoder().encode(text.trim());
  try {
    nkeys.fromSeed(seed);
  } catch {
    throw new ConfigError(
      'nats option "nkey" must be the seed of an nkey ("SU…"), and what it gives is none',
      {
        broker: 'nats',
      },
    );
  }
  return seed;
}
