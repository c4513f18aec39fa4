import type { ConnectionOptions } from 'node:tls';
import { ConfigError, check } from '@ambus/core';
import { type Address, type Client, isCluster, type Target } from './driver/dial.ts';
import { parseUrl } from './url.ts';

/** A server's address. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** Sentinels that know where the master is. */
export interface RedisSentinel {
  /** Name of the master: `mymaster`. */
  readonly name: string;
  readonly nodes: readonly RedisAddress[];
  /** For the sentinels themselves, where they want it. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: boolean | ConnectionOptions | undefined;
}

/** Options of `redis()`. A value that is not allowed is refused with a `ConfigError` that names it. */
export interface RedisOptions {
  /**
   * `redis://user:password@host:6379/0`, `rediss://` for TLS, `redis+cluster://host1:7000,host2:7001`,
   * `redis+sentinel://host1:26379,host2:26379/master`. Default: environment variable `AMB_REDIS_URL`, else
   * `redis://127.0.0.1:6379`. Options that are given besides go before it.
   */
  readonly url?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** Number of the database, 0 on a cluster. Default 0. */
  readonly db?: number | undefined;
  /** ACL user. Default: the server's `default`. */
  readonly username?: string | undefined;
  /** A function is asked on every connecting, so a rotated password is taken up. */
  readonly password?: string | (() => string | Promise<string>) | undefined;
  /** `true`, or what Node's `tls.connect` takes: `ca`, `cert`, `key`, `servername` … Default false. */
  readonly tls?: boolean | ConnectionOptions | undefined;
  readonly sentinel?: RedisSentinel | undefined;
  /** Some of the nodes of a cluster; the others are found. */
  readonly cluster?: readonly RedisAddress[] | undefined;
  /**
   * An ioredis `Redis` or `Cluster`: its settings are taken for the broker's own connections. It is neither used nor
   * closed itself: it may queue and send again, which the broker must not.
   */
  readonly client?: Client | undefined;
  /**
   * Parts, 1 to 256, into which topics are divided on a cluster, each on one node. All buses of a prefix must say the same.
   * Default 16 on a cluster, 1 otherwise.
   */
  readonly shards?: number | undefined;
  /** Milliseconds, at least 200, after which at most a dead consumer's messages are with another. Default 30,000. */
  readonly lease?: number | undefined;
  /** Connections, 0 or more, on which a bus waits for messages, one for each group on a single topic. Default 16. */
  readonly maxReaders?: number | undefined;
  /** Bytes, at least 1, of the largest body. Default 8 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** Lets the retention remove messages that a group has not settled, too: bounds the server's memory. Default false. */
  readonly trimUnacked?: boolean | undefined;
}

/** The options, checked and with defaults. */
export interface Settings {
  readonly target: Target;
  readonly shards: number;
  readonly lease: number;
  readonly maxReaders: number;
  readonly maxMessageBytes: number;
  readonly trimUnacked: boolean;
}

const {
  arrayOf,
  boolean,
  callable,
  either,
  integer,
  milliseconds,
  object,
  oneOf,
  options: checkOptions,
  shaped,
  text,
} = check;

/** What the script argument of one call may hold at the server is 512 MB; half of it leaves room for the rest. */
const MAX_MESSAGE_BYTES = 256 * 1024 * 1024;
const MAX_SHARDS = 256;
const DEFAULT_URL = 'redis://127.0.0.1:6379';

const parts = checkOptions<RedisAddress>({ host: text(), port: integer(1, 65_535) });
const address: check.Check = (value) => {
  const { host, port } = (value ?? {}) as Partial<RedisAddress>;
  return host === undefined || port === undefined ? '{ host, port }' : parts(value);
};
const addresses: check.Check = (value) =>
  Array.isArray(value) && value.length > 0
    ? arrayOf(address)(value)
    : 'an array of at least one { host, port }';
const tls = either(boolean, object);
const urlCheck: check.Check = (value) =>
  typeof value === 'string' && parseUrl(value) !== undefined
    ? undefined
    : 'redis://host:port, rediss://, redis+cluster://host1,host2 or redis+sentinel://host1,host2/master';

const SPEC: check.Spec<RedisOptions> = {
  url: urlCheck,
  host: text(),
  port: integer(1, 65_535),
  db: integer(0),
  username: text(),
  password: either(text(4_096), callable),
  tls,
  sentinel: checkOptions<RedisSentinel>({
    name: text(),
    nodes: addresses,
    username: text(),
    password: text(4_096),
    tls,
  }),
  cluster: addresses,
  client: shaped('a Redis or Cluster of ioredis', 'duplicate', 'sendCommand', 'disconnect'),
  shards: integer(1, MAX_SHARDS),
  lease: milliseconds(200),
  maxReaders: integer(0),
  maxMessageBytes: integer(1, MAX_MESSAGE_BYTES),
  trimUnacked: oneOf(true, false),
};

/** @throws {ConfigError} naming the option or variable, its value and what is allowed */
export function settings(options: RedisOptions, environment: NodeJS.ProcessEnv): Settings {
  const given = { ...options, url: withoutSecrets(options?.url) };
  if (typeof given.password === 'string' && given.password !== '') given.password = '***';
  check.checkOptions('redis option', given, SPEC, ConfigError);
  const target = targetOf(options, environment);
  const clustered = target.cluster !== undefined || isCluster(target.client);
  if (clustered && target.db !== 0) {
    throw new ConfigError(`redis option "db" must be 0 on a cluster, not ${target.db}`, { broker: 'redis' });
  }
  return {
    target,
    shards: options.shards ?? (clustered ? 16 : 1),
    lease: options.lease ?? 30_000,
    maxReaders: options.maxReaders ?? 16,
    maxMessageBytes: options.maxMessageBytes ?? 8 * 1024 * 1024,
    trimUnacked: options.trimUnacked ?? false,
  };
}

function targetOf(options: RedisOptions, environment: NodeJS.ProcessEnv): Target {
  const { host, port, sentinel, cluster, client } = options;
  const named = [client, cluster, sentinel].filter((one) => one !== undefined).length;
  if (named > 1)
    throw new ConfigError('redis options "client", "cluster" and "sentinel": give one of them', {
      broker: 'redis',
    });
  const isAddressed = named > 0 || host !== undefined;
  const url =
    options.url ?? (isAddressed ? undefined : environment.AMB_REDIS_URL || undefined) ?? DEFAULT_URL;
  const parsed = parseUrl(url);
  if (parsed === undefined) {
    throw new ConfigError(
      `environment variable AMB_REDIS_URL must be ${urlCheck(undefined)}, not ${JSON.stringify(withoutSecrets(url))}`,
      { broker: 'redis' },
    );
  }
  const [first] = parsed.nodes as [Address];
  const isAlone = named === 0;
  return {
    host: host ?? first.host,
    port: port ?? (host === undefined ? first.port : 6379),
    db: isCluster(client)
      ? 0
      : (options.db ?? (client as { options?: { db?: number } } | undefined)?.options?.db ?? parsed.db ?? 0),
    username: options.username ?? parsed.username,
    password: options.password ?? parsed.password,
    tls: tlsOf(options.tls ?? parsed.secure),
    sentinel: sentinel
      ? {
          ...sentinel,
          username: sentinel.username,
          password: sentinel.password,
          tls: tlsOf(sentinel.tls ?? false),
        }
      : isAlone && parsed.way === 'sentinel'
        ? {
            name: parsed.master!,
            nodes: parsed.nodes,
            username: undefined,
            password: undefined,
            tls: undefined,
          }
        : undefined,
    cluster: cluster ?? (isAlone && parsed.way === 'cluster' ? parsed.nodes : undefined),
    client,
  };
}

function tlsOf(option: boolean | ConnectionOptions): ConnectionOptions | undefined {
  if (option === false) return undefined;
  return option === true ? {} : option;
}

/** Another server's url, given by mistake, may hold a password as well. */
function withoutSecrets<T>(url: T): T | string {
  return typeof url === 'string' ? url.replace(/\/\/[^/]*@/, '//***@') : url;
}
