import type { ConnectionOptions } from 'node:tls';
import { ConfigError, check } from '@ambus/core';
import { type Address, type Client, isCluster, type Target } from './driver/dial.ts';
import { parseUrl } from './url.ts';

/** A server's address. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** Sentinels that know where the master is. What the master itself asks for is said beside them, in `RedisOptions`. */
export interface RedisSentinel {
  /** Name of the master: `mymaster`. */
  readonly name: string;
  /** At least one of them; they are asked in turn. */
  readonly nodes: readonly RedisAddress[];
  /** For the sentinels themselves, where they want it. Default: none. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Of the connections to the sentinels. Default false. */
  readonly tls?: boolean | ConnectionOptions | undefined;
}

/** Options of `redis()`. A value that is not allowed is refused with a `ConfigError` that names it. */
export interface RedisOptions {
  /**
   * `redis://user:password@host:6379/0`, `rediss://` for TLS, `redis+cluster://host1:7000,host2:7001`,
   * `redis+sentinel://host1:26379,host2:26379/master`. Default: environment variable `AMB_REDIS_URL`, else
   * `redis://127.0.0.1:6379`. Options that are given besides go before it; not together with `sentinel`, `cluster` or
   * `client`.
   */
  readonly url?: string | undefined;
  /** Of one server; not together with `sentinel`, `cluster`, `client`, or a url of these. Default: the url's. */
  readonly host?: string | undefined;
  /** 1 to 65,535. Default: the url's; beside a `host` 6379. */
  readonly port?: number | undefined;
  /** Number of the database, 0 on a cluster. Default: the url's or the client's, else 0. */
  readonly db?: number | undefined;
  /** ACL user. Default: the url's, else the server's `default`. */
  readonly username?: string | undefined;
  /** A function is asked on every connecting, of a cluster also once a minute, so a rotated password is taken up. At most 4,096 characters. Default: the url's. */
  readonly password?: string | (() => string | Promise<string>) | undefined;
  /** `true`, or what Node's `tls.connect` takes: `ca`, `cert`, `key`, `servername` … Default: as the url's scheme says. */
  readonly tls?: boolean | ConnectionOptions | undefined;
  /** Asks Sentinels for the server. Not together with `cluster` or `client`. */
  readonly sentinel?: RedisSentinel | undefined;
  /** Some of the nodes of a cluster, at least one; the others are found. Not together with `client`. */
  readonly cluster?: readonly RedisAddress[] | undefined;
  /**
   * An ioredis `Redis` or `Cluster`: where it connects to, and as whom, is taken for the broker's own connections. It is
   * neither used nor closed itself: it may queue and send again, which the broker must not. Its `keyPrefix`, timeouts and
   * how it writes numbers have no effect. Not together with `username`, `password` or `tls`.
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
  /** Bytes of the largest body, 1 to 256 MiB. Default 8 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** Lets the retention remove messages that a group has not settled, too: bounds the server's memory. Default false. */
  readonly trimUnacked?: boolean | undefined;
}

type Named = keyof RedisOptions & string;

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
const MAX_PASSWORD = 4_096;
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
    : 'redis://user:password@host:port/db, rediss://, redis+cluster://host1,host2 or redis+sentinel://host1,host2/master, ' +
      'without a query and with "@", "/" and ":" of a password as %40, %2F and %3A';

const SPEC: check.Spec<RedisOptions> = {
  url: urlCheck,
  host: text(),
  port: integer(1, 65_535),
  db: integer(0),
  username: text(),
  password: either(text(MAX_PASSWORD), callable),
  tls,
  sentinel: checkOptions<RedisSentinel>({
    name: text(),
    nodes: addresses,
    username: text(),
    password: text(MAX_PASSWORD),
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
  check.checkOptions('redis option', masked(options), SPEC, ConfigError);
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
  const named = (['client', 'cluster', 'sentinel'] as const).filter((name) => options[name] !== undefined);
  if (named.length > 1) throw contradiction(...named);
  const [way] = named;
  if (way !== undefined) refuseBeside(options, way, ['url', 'host', 'port']);
  if (client !== undefined) refuseBeside(options, 'client', ['username', 'password', 'tls']);
  const isAddressed = way !== undefined || host !== undefined;
  const variable = isAddressed ? undefined : environment.AMB_REDIS_URL || undefined;
  const url = options.url ?? variable ?? DEFAULT_URL;
  if (options.url === undefined) {
    const said = { AMB_REDIS_URL: url };
    check.checkOptions('environment variable', said, { AMB_REDIS_URL: urlCheck }, ConfigError);
  }
  const parsed = parseUrl(url)!;
  if (parsed.way !== 'single') refuseBeside(options, 'url', ['host', 'port']);
  const [first] = parsed.nodes as [Address];
  const isAlone = way === undefined;
  const secured = tlsOf(options.tls ?? parsed.secure);
  return {
    host: host ?? first.host,
    port: port ?? (host === undefined ? first.port : 6379),
    db: isCluster(client)
      ? 0
      : (options.db ?? (client as { options?: { db?: number } } | undefined)?.options?.db ?? parsed.db ?? 0),
    username: options.username ?? parsed.username,
    password: options.password ?? parsed.password,
    tls: secured,
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
            tls: parsed.secure ? secured : undefined,
          }
        : undefined,
    cluster: cluster ?? (isAlone && parsed.way === 'cluster' ? parsed.nodes : undefined),
    client,
  };
}

/** What would be ignored is refused. */
function refuseBeside(options: RedisOptions, way: Named, names: readonly Named[]): void {
  const beside = names.find((name) => options[name] !== undefined);
  if (beside !== undefined) throw contradiction(way, beside);
}

function contradiction(...names: readonly Named[]): ConfigError {
  const quoted = names.map((name) => `"${name}"`).join(' and ');
  return new ConfigError(`redis options ${quoted} contradict each other: give one of them`, {
    broker: 'redis',
  });
}

function tlsOf(option: boolean | ConnectionOptions): ConnectionOptions | undefined {
  if (option === false) return undefined;
  return option === true ? {} : option;
}

/** The same with passwords that errors may show. */
function masked(options: RedisOptions): unknown {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options;
  return {
    ...options,
    ...maskedPassword('password', options),
    ...(typeof options.sentinel === 'object' &&
      options.sentinel !== null && {
        sentinel: { ...options.sentinel, ...maskedPassword('sentinel.password', options.sentinel) },
      }),
  };
}

function maskedPassword(name: string, { password }: Pick<RedisOptions, 'password'>): object | undefined {
  if (password === undefined || typeof password === 'function' || password === '') return undefined;
  if (typeof password === 'string' && password.length <= MAX_PASSWORD) return { password: '***' };
  const given =
    typeof password === 'string' ? `one of ${password.length}` : `a value of type ${typeof password}`;
  throw new ConfigError(
    `redis option "${name}" must be a string of 1 to ${MAX_PASSWORD} characters, not ${given}`,
    {
      broker: 'redis',
    },
  );
}
