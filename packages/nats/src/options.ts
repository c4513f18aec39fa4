import { ConfigError, check } from '@ambus/core';
import type { Authenticator, NatsConnection } from 'nats';

/** TLS of the connection: PEM texts, or paths of files that hold them. Of a text and a path the path counts. */
export interface NatsTlsOptions {
  /** Authority that is trusted. Default: those that Node trusts. */
  readonly ca?: string | undefined;
  readonly caFile?: string | undefined;
  /** The client's own certificate, where the server asks for one. */
  readonly cert?: string | undefined;
  readonly certFile?: string | undefined;
  readonly key?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Whether a server whose certificate is not trusted is refused. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Speaks TLS from the first byte, where the server is configured so. Default false. */
  readonly handshakeFirst?: boolean | undefined;
}

/** The JetStream stream that holds the durable topics of a prefix. Only read when the stream is created. */
export interface NatsStreamOptions {
  /** Default: the bus's prefix. */
  readonly name?: string | undefined;
  /** Servers of a cluster that each keep a copy, 1 to 5. Default 1. */
  readonly replicas?: number | undefined;
  /** Default `file`. */
  readonly storage?: 'file' | 'memory' | undefined;
  /**
   * JetStream's own retention. `interest` keeps only what a group waits for; `workqueue` allows a message one group, and no
   * subscription without one. Default `limits`.
   */
  readonly retention?: 'limits' | 'interest' | 'workqueue' | undefined;
  /** Hard limits, beyond which the server drops the oldest message, settled or not. Default: none. */
  readonly maxMessages?: number | undefined;
  readonly maxBytes?: number | undefined;
  /**
   * Milliseconds, at least 100, after which the server drops a message, settled or not, but no dead letter. Shorter than the
   * bus's `deduplicationWindow`, publishes with an idempotency key are refused.
   */
  readonly maxAge?: number | undefined;
}

/** Something that may change while the bus runs: asked for at each connection. A function answers at once, not by a promise. */
export type Changing<T> = T | (() => T);

/**
 * Options of `nats()`. A value that is not allowed is refused with a `ConfigError` that names it.
 *
 * Ways of logging in exclude each other: `user`, `token`, `nkey`, `credentials` or `authenticator`. With none of them what the
 * first address says counts, and a user alone there is a token.
 */
export interface NatsOptions {
  /**
   * One server, `nats://[user[:password]@]host[:port]` or `tls://…`, or several of one cluster with commas between them.
   * Default `AMB_NATS_URL`, else `nats://127.0.0.1:4222`.
   */
  readonly url?: string | undefined;
  /** As `url`, or each server by itself. Not together with `url`. */
  readonly servers?: string | readonly string[] | undefined;
  /** Shown in the server's list of connections. Default: the bus's source. */
  readonly name?: string | undefined;
  /** Default: the address's. */
  readonly user?: Changing<string> | undefined;
  /** Of the `user`, without which it is refused. */
  readonly password?: Changing<string> | undefined;
  /** Default: the address's. */
  readonly token?: Changing<string> | undefined;
  /** Seed of an nkey (`SU…`). With `jwt` it signs for that. */
  readonly nkey?: Changing<string> | undefined;
  /** A user's JWT. Needs `nkey`, its seed. */
  readonly jwt?: Changing<string> | undefined;
  /** Contents of a `.creds` file. */
  readonly credentials?: Changing<string> | undefined;
  /** The driver's own form of credentials, for what the above cannot say. */
  readonly authenticator?: Authenticator | undefined;
  /** TLS also without this, where the server asks for it and its certificate is publicly trusted. */
  readonly tls?: NatsTlsOptions | undefined;
  /** How the stream of the durable topics is made. Default: a file on one server, without limits. */
  readonly stream?: NatsStreamOptions | undefined;
  /** JetStream domain, for leaf nodes. Default: none. */
  readonly domain?: string | undefined;
  /** Start of the subjects that answers come to, where an account may not use `_INBOX`. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /** Bytes of the server's `max_payload`, 64 KiB to 64 MiB. Default 1 MiB, which is the server's own. */
  readonly maxPayload?: number | undefined;
  /** Milliseconds, 500 to 43,200,000 (12 hours), after which what a dead bus had has gone to others. Default 30,000. */
  readonly lease?: number | undefined;
  /**
   * Milliseconds between two pings, 100 to 600,000; after three without an answer the connection is given up. Default 2,000.
   */
  readonly pingInterval?: number | undefined;
  /**
   * A connection of npm `nats` 2.x (not of `@nats-io/*`) that exists already, made with `maxReconnectAttempts: -1`: one that
   * gives up ends the bus's subscriptions. It is not closed with the bus. Addresses, credentials, `tls`, `name` and
   * `pingInterval` have no effect beside it.
   */
  readonly client?: NatsConnection | undefined;
}

/** The options, checked and with defaults. */
export interface Settings extends NatsOptions {
  readonly addresses: readonly string[];
  readonly stream: NatsStreamOptions;
  readonly inboxPrefix: string;
  readonly maxPayload: number;
  readonly lease: number;
  readonly pingInterval: number;
}

const DEFAULT_URL = 'nats://127.0.0.1:4222';
const MIB = 1024 * 1024;

const address: check.Check = (value) =>
  typeof value === 'string' && split(value).every((one) => parse(one) !== undefined)
    ? undefined
    : 'nats://[user:password@]host[:port], or with tls:// in front, or several of these with commas between them';
const changing = (inner: check.Check): check.Check => check.either(inner, check.callable);
const secret: check.Check = (value) =>
  changing(check.text(64 * 1024))(value) === undefined ? undefined : 'a text, or a function that returns one';
const subjectPart: check.Check = (value) =>
  typeof value === 'string' && /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(value)
    ? undefined
    : 'letters, digits, "_" or "-", in parts separated by dots';
const streamName: check.Check = (value) =>
  typeof value === 'string' && /^[A-Za-z0-9_-]{1,255}$/.test(value)
    ? undefined
    : '1 to 255 letters, digits, "_" or "-"';
const tls = check.options<NatsTlsOptions>({
  ca: check.text(MIB),
  caFile: check.text(),
  cert: check.text(MIB),
  certFile: check.text(),
  key: check.text(MIB),
  keyFile: check.text(),
  rejectUnauthorized: check.boolean,
  handshakeFirst: check.boolean,
});
const stream = check.options<NatsStreamOptions>({
  name: streamName,
  replicas: check.integer(1, 5),
  storage: check.oneOf('file', 'memory'),
  retention: check.oneOf('limits', 'interest', 'workqueue'),
  maxMessages: check.integer(1),
  maxBytes: check.integer(1),
  maxAge: check.milliseconds(100),
});

const SPEC: check.Spec<NatsOptions> = {
  url: address,
  servers: check.either(address, (value) =>
    Array.isArray(value) && value.length === 0 ? 'at least one address' : check.arrayOf(address)(value),
  ),
  name: check.text(),
  user: secret,
  password: secret,
  token: secret,
  nkey: secret,
  jwt: secret,
  credentials: secret,
  authenticator: check.callable,
  tls,
  stream,
  domain: subjectPart,
  inboxPrefix: subjectPart,
  maxPayload: check.integer(64 * 1024, 64 * MIB),
  lease: check.integer(500, 12 * 60 * 60 * 1_000, 'milliseconds'),
  pingInterval: check.integer(100, 10 * 60 * 1_000, 'milliseconds'),
  client: check.shaped('a NatsConnection', 'publish', 'subscribe', 'status'),
};

const SEED = /^SU[A-Z2-7]{56}$/;

/** Options that are only one way of saying who one is. */
const WAYS = ['user', 'token', 'nkey', 'credentials', 'authenticator'] as const;

/** @throws {ConfigError} naming the option, its value and what is allowed */
export function settings(options: NatsOptions): Settings {
  check.checkOptions('nats option', shown(options), SPEC, ConfigError);
  const fail = (message: string): never => {
    throw new ConfigError(`nats: ${message}`, { broker: 'nats' });
  };
  if (options.url !== undefined && options.servers !== undefined) fail('give "url" or "servers", not both');
  const ways = WAYS.filter((way) => options[way] !== undefined);
  if (ways.length > 1) fail(`give only one of ${ways.map((way) => `"${way}"`).join(', ')}`);
  if (options.password !== undefined && options.user === undefined) fail('"password" needs "user"');
  if (options.jwt !== undefined && options.nkey === undefined)
    fail('"jwt" needs "nkey", the seed that signs for it');
  if (typeof options.nkey === 'string' && !SEED.test(options.nkey.trim()))
    fail(
      'option "nkey" must be the seed of an nkey ("SU" and 56 more letters and digits); what it is, is none',
    );
  const { servers = options.url ?? environmentUrl() ?? DEFAULT_URL } = options;
  return {
    ...options,
    addresses: [servers].flat().flatMap(split),
    stream: options.stream ?? {},
    inboxPrefix: options.inboxPrefix ?? '_INBOX',
    maxPayload: options.maxPayload ?? MIB,
    lease: options.lease ?? 30_000,
    pingInterval: options.pingInterval ?? 2_000,
  };
}

function environmentUrl(): string | undefined {
  const url = process.env.AMB_NATS_URL || undefined;
  if (url === undefined || address(url) === undefined) return url;
  throw new ConfigError(
    `environment variable AMB_NATS_URL must be ${address(url)}, not ${hiddenAddress(url)}`,
    {
      broker: 'nats',
    },
  );
}

/** At commas before an address: a password may hold others. */
const split = (addresses: string): string[] => addresses.split(/\s*,\s*(?=\w+:\/\/)/);

/** The parts of an address; undefined when it is none. */
export function parse(address: string): URL | undefined {
  try {
    const url = new URL(address);
    return ['nats:', 'tls:'].includes(url.protocol) && /^[^,\s]+$/.test(url.hostname) ? url : undefined;
  } catch {
    return undefined;
  }
}

/** Addresses for errors and logs. */
export function withoutSecrets(addresses: string): string {
  const masked = split(addresses).map((address) => address.replace(/\/\/.*@/, '//***@'));
  return masked.join(',');
}

/** Options that are secrets, or hold some. */
const SECRETS = ['user', 'password', 'token', 'nkey', 'jwt', 'credentials', 'authenticator', 'tls'] as const;

/** The options as an error may show them: what is allowed in them, and what is not, is so in both. */
function shown(options: NatsOptions): unknown {
  if (typeof options === 'string') return '***';
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options;
  const masked: Record<string, unknown> = { ...options };
  for (const name of ['url', 'servers']) if (name in masked) masked[name] = mask(masked[name], hiddenAddress);
  for (const name of SECRETS) if (name in masked) masked[name] = mask(masked[name], hiddenText);
  return masked;
}

/** The value with its texts hidden. */
function mask(value: unknown, hide: (text: string) => string): unknown {
  if (typeof value === 'string') return hide(value);
  if (Array.isArray(value)) return value.map((one) => mask(one, hide));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, mask(one, hide)]));
}

/** As long, and as well-formed. */
const hiddenText = (text: string): string => (text.isWellFormed() ? '*'.repeat(text.length) : '\ud800');

/** One that is allowed stays so. */
function hiddenAddress(text: string): string {
  if (address(text) === undefined) return DEFAULT_URL;
  const hidden = text.replace(/^(\w+:\/\/)?.*@/s, '$1***@');
  return address(hidden) === undefined ? '***' : hidden;
}
