import { ConfigError, check } from '@ambus/core';
import type { KafkaConfig, SASLOptions } from 'kafkajs';
import { COMPRESSIONS, type Codec, type Compression, hasCodec, useCodec } from './driver/compression.ts';
import type { Client } from './driver/kafkajs.ts';

/** Options of `kafka()`. A value that is not allowed is refused with a `ConfigError` that names it. */
export interface KafkaOptions {
  /** `host:port` of the servers to ask first, as a list or joined by commas. Default `AMB_KAFKA_BROKERS`, else `127.0.0.1:9092`. */
  readonly brokers?: string | readonly string[] | undefined;
  /** `kafka://user:password@host:9092,host:9092`, `kafkas://` with TLS: says the same as `brokers`, `sasl` (PLAIN) and `ssl`. */
  readonly url?: string | undefined;
  /** Name in the server's logs and quotas. Default: the bus's source. */
  readonly clientId?: string | undefined;
  /** TLS: `true`, or the options of `tls.connect` (`ca`, `cert` and `key` for mutual TLS, …). Default: none. */
  readonly ssl?: KafkaConfig['ssl'] | undefined;
  /**
   * Credentials, as kafkajs takes them: `plain`, `scram-sha-256`, `scram-sha-512`, `oauthbearer`, `aws`; or a function that
   * is asked for them at each connection, so that they can be rotated. Default: none.
   */
  readonly sasl?: SASLOptions | (() => SASLOptions) | undefined;
  /** Makes the sockets, for bastions and tunnels; as kafkajs takes it. Default: TCP, or TLS with `ssl`. */
  readonly socketFactory?: KafkaConfig['socketFactory'] | undefined;
  /** Milliseconds that a connection may take. Default 3,000. */
  readonly connectionTimeout?: number | undefined;
  /** Milliseconds that a server may take to answer, beyond what it holds back by itself. Default 5,000. */
  readonly requestTimeout?: number | undefined;
  /** Milliseconds without a sign of life after which a consumer's messages go to others; the lease. Default 10,000. */
  readonly sessionTimeout?: number | undefined;
  /** Milliseconds between signs of life. Default: a fifth of the session, at most 500. */
  readonly heartbeatInterval?: number | undefined;
  /** Milliseconds that the members of a group have to join again when it changes. Default 15,000. */
  readonly rebalanceTimeout?: number | undefined;
  /** Static membership: who comes back under this name within the session keeps its partitions. Default: none. */
  readonly groupInstanceId?: string | undefined;
  /** Partitions of topics that the bus creates. Default 6. */
  readonly partitions?: number | undefined;
  /** Copies of topics that the bus creates; -1 is the server's default. Default -1. */
  readonly replicationFactor?: number | undefined;
  /** Bytes of the largest body. Default 917,504 (896 KiB), which fits Kafka's own default with headers. */
  readonly maxMessageBytes?: number | undefined;
  /** Who must have stored a message before it counts as published: `all` in-sync replicas, or the leader. Default `all`. */
  readonly acks?: 'all' | 'leader' | undefined;
  /** Milliseconds that a message may wait for others to share its batch. Default 0: only while a batch is on its way. */
  readonly linger?: number | undefined;
  /** Bytes of the largest batch of one partition. Default 1,000,000. */
  readonly batchBytes?: number | undefined;
  /** How batches are compressed. Default `none`. */
  readonly compression?: keyof typeof COMPRESSIONS | undefined;
  /** Codecs that Node does not bring. They count for the whole process. */
  readonly codecs?: Readonly<Partial<Record<'snappy' | 'lz4' | 'zstd', Codec>>> | undefined;
  /** Bytes of the largest answer to a fetch. Default 8 MiB. */
  readonly maxBytes?: number | undefined;
  /** Bytes of one partition in it. Default 1 MiB. */
  readonly maxBytesPerPartition?: number | undefined;
  /** Messages, at least 1, that a subscription reads ahead of its handlers' window. Default 2,000. */
  readonly maxPollRecords?: number | undefined;
  /** Milliseconds that the server may hold a fetch with nothing in it. Default 500. */
  readonly maxWait?: number | undefined;
  /** `false`: an ack resolves when its position is committed. `true`: at once, committed every `autoCommitInterval`. Default `false`. */
  readonly autoCommit?: boolean | undefined;
  /** Milliseconds. Default 1,000. */
  readonly autoCommitInterval?: number | undefined;
}

/** The options, checked and with defaults. */
export interface Settings {
  readonly client: (source: string) => Client;
  readonly sessionTimeout: number;
  readonly heartbeatInterval: number;
  readonly rebalanceTimeout: number;
  readonly groupInstanceId: string | null;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly maxMessageBytes: number;
  readonly acks: number;
  readonly linger: number;
  readonly batchBytes: number;
  readonly compression: Compression;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
  readonly maxPollRecords: number;
  readonly maxWait: number;
  readonly autoCommit: boolean;
  readonly autoCommitInterval: number;
  readonly requestTimeout: number;
}

const { arrayOf, boolean, callable, either, integer, milliseconds, oneOf, text } = check;

const address: check.Check = (value) =>
  typeof value === 'string' && /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/.test(value)
    ? undefined
    : 'host:port';
const addresses: check.Check = (value) =>
  typeof value === 'string' && value.split(',').every((one) => address(one.trim()) === undefined)
    ? undefined
    : 'host:port, several joined by commas';
const anyObject: check.Check = (value) =>
  typeof value === 'object' && value !== null ? undefined : 'an object';
const isCodec = ([name, codec]: [string, Partial<Codec> | null]): boolean =>
  ['snappy', 'lz4', 'zstd'].includes(name) &&
  typeof codec?.compress === 'function' &&
  typeof codec.decompress === 'function';
const credentials: check.Check = (value) =>
  typeof value === 'function' ||
  ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws'].includes(
    (value as { mechanism?: string } | null)?.mechanism ?? '',
  ) ||
  typeof (value as { authenticationProvider?: unknown } | null)?.authenticationProvider === 'function'
    ? undefined
    : 'an object with mechanism plain, scram-sha-256, scram-sha-512, oauthbearer or aws';

const SPEC: check.Spec<KafkaOptions> = {
  brokers: either(addresses, (value) =>
    Array.isArray(value) && value.length > 0 ? arrayOf(address)(value) : 'a list of host:port',
  ),
  url: (value) =>
    parseUrl(value) === undefined
      ? 'kafka://host:port, kafkas://host:port or host:port, with "%" in a user or password as "%25"'
      : undefined,
  clientId: text(200),
  ssl: either(boolean, anyObject),
  sasl: credentials,
  socketFactory: callable,
  connectionTimeout: milliseconds(1),
  requestTimeout: milliseconds(100),
  sessionTimeout: milliseconds(100),
  heartbeatInterval: milliseconds(10),
  rebalanceTimeout: milliseconds(100),
  groupInstanceId: text(200),
  partitions: integer(1, 10_000),
  replicationFactor: either(oneOf(-1), integer(1, 100)),
  maxMessageBytes: integer(1, 256 * 1024 * 1024),
  acks: oneOf('all', 'leader'),
  linger: milliseconds(0),
  batchBytes: integer(1),
  compression: oneOf(...Object.keys(COMPRESSIONS)),
  codecs: (value) =>
    typeof value === 'object' && value !== null && Object.entries(value).every(isCodec)
      ? undefined
      : 'an object of snappy, lz4 and zstd, each with the functions compress and decompress',
  maxBytes: integer(1),
  maxBytesPerPartition: integer(1),
  maxPollRecords: integer(1),
  maxWait: milliseconds(1),
  autoCommit: boolean,
  autoCommitInterval: milliseconds(1),
};

const MEBIBYTE = 1024 * 1024;

/** @throws {ConfigError} naming the option or variable, its value and what is allowed */
export function settings(options: KafkaOptions): Settings {
  const shown = { ...options, url: hidden(options?.url), sasl: options?.sasl };
  check.checkOptions('kafka option', shown, SPEC, ConfigError);
  const from = options.url === undefined ? undefined : parseUrl(options.url)!;
  if (from !== undefined && options.brokers !== undefined) {
    throw new ConfigError('kafka option "url" and option "brokers" both name the servers: give one of them', {
      broker: 'kafka',
    });
  }
  const brokers = listOf(options.brokers ?? from?.brokers ?? environment());
  const sessionTimeout = options.sessionTimeout ?? 10_000;
  for (const [name, codec] of Object.entries(options.codecs ?? {})) useCodec(name as 'snappy', codec);
  const compression = COMPRESSIONS[options.compression ?? 'none'];
  if (!hasCodec(compression)) {
    throw new ConfigError(
      `kafka option "compression": give a codec for ${options.compression} in option "codecs"`,
      {
        broker: 'kafka',
      },
    );
  }
  return {
    client: (source) =>
      ({
        brokers,
        clientId: options.clientId ?? source,
        connectionTimeout: options.connectionTimeout ?? 3_000,
        requestTimeout: options.requestTimeout ?? 5_000,
        ...(options.socketFactory ? { socketFactory: options.socketFactory } : undefined),
        ...((options.ssl ?? from?.ssl) ? { ssl: options.ssl ?? from?.ssl } : undefined),
        ...((options.sasl ?? from?.sasl) ? { sasl: options.sasl ?? from?.sasl } : undefined),
      }) as Client,
    sessionTimeout,
    heartbeatInterval: options.heartbeatInterval ?? Math.min(500, Math.ceil(sessionTimeout / 5)),
    rebalanceTimeout: options.rebalanceTimeout ?? 15_000,
    groupInstanceId: options.groupInstanceId ?? null,
    partitions: options.partitions ?? 6,
    replicationFactor: options.replicationFactor ?? -1,
    maxMessageBytes: options.maxMessageBytes ?? 896 * 1024,
    acks: options.acks === 'leader' ? 1 : -1,
    linger: options.linger ?? 0,
    batchBytes: options.batchBytes ?? 1_000_000,
    compression,
    maxBytes: options.maxBytes ?? 8 * MEBIBYTE,
    maxBytesPerPartition: options.maxBytesPerPartition ?? MEBIBYTE,
    maxPollRecords: options.maxPollRecords ?? 2_000,
    maxWait: options.maxWait ?? 500,
    autoCommit: options.autoCommit ?? false,
    autoCommitInterval: options.autoCommitInterval ?? 1_000,
    requestTimeout: options.requestTimeout ?? 5_000,
  };
}

function environment(): string {
  const value = process.env.AMB_KAFKA_BROKERS || undefined;
  if (value === undefined) return '127.0.0.1:9092';
  const allowed = addresses(value);
  if (allowed === undefined) return value;
  throw new ConfigError(`environment variable AMB_KAFKA_BROKERS must be ${allowed}`, { broker: 'kafka' });
}

function listOf(brokers: string | readonly string[]): readonly string[] {
  return typeof brokers === 'string' ? brokers.split(',').map((one) => one.trim()) : brokers;
}

function parseUrl(url: unknown): Pick<KafkaOptions, 'brokers' | 'ssl' | 'sasl'> | undefined {
  const parts =
    typeof url === 'string'
      ? /^(?:kafka(s?):\/\/(?:([^:@/]*):([^@/]*)@)?)?([^/@]+:\d+(?:,[^/@]+)?)\/?$/.exec(url)
      : null;
  if (parts === null || addresses(parts[4]) !== undefined) return undefined;
  const [, secure, user, password, brokers] = parts;
  const ssl = secure === 's' || undefined;
  if (user === undefined) return { brokers: brokers!, ssl };
  try {
    const [username, secret] = [decodeURIComponent(user), decodeURIComponent(password!)];
    return { brokers: brokers!, ssl, sasl: { mechanism: 'plain', username, password: secret } };
  } catch {
    return undefined;
  }
}

/** A wrong url is shown in the error, its password is not. */
function hidden(url: unknown): unknown {
  if (typeof url !== 'string' || parseUrl(url) !== undefined) return url;
  return url.replace(/\/\/.*@/, '//***@');
}
