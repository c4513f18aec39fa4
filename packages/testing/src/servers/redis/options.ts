import { ConfigError, check } from '@ambus/core';
import { commonChecks } from '../options.ts';
import type { CommonServerOptions } from '../types.ts';

/** Options of `startServer('redis')`. */
export interface RedisServerOptions extends CommonServerOptions {
  /**
   * `7` (7.0), `8`, or `valkey`. Default: in Docker `8`, natively the `redis-server` of the path if that is 7 or later,
   * else `7`.
   */
  readonly version?: '7' | '8' | 'valkey' | undefined;
  /**
   * `password` for the default user, or `user` for an ACL user beside it; the default user then has a password that nobody
   * knows. Default: everybody is let in.
   */
  readonly auth?: 'password' | 'user' | undefined;
  /** Speaks only TLS; with `mutual` it asks clients for a certificate. Default false. */
  readonly tls?: boolean | 'mutual' | undefined;
  /** Masters of a Redis Cluster, 3 or more. Default: no cluster. */
  readonly cluster?: number | undefined;
  /** Replicas: of the one server, or of each master of a cluster. Default 0, with `sentinels` 1. */
  readonly replicas?: number | undefined;
  /** Sentinels that watch the server and its replicas, under the name `ambus`. Default 0. */
  readonly sentinels?: number | undefined;
}

const SPEC: check.Spec<RedisServerOptions> = {
  ...commonChecks,
  version: check.oneOf('7', '8', 'valkey'),
  auth: check.oneOf('password', 'user'),
  tls: check.oneOf(true, false, 'mutual'),
  cluster: check.integer(3, 16),
  replicas: check.integer(0, 4),
  sentinels: check.integer(0, 7),
};

export function checkRedisOptions(options: RedisServerOptions): void {
  check.checkOptions('startServer option', options, SPEC, ConfigError);
  if (options.cluster !== undefined && options.sentinels) {
    throw new ConfigError('startServer: a Redis Cluster needs no sentinels: give "cluster" or "sentinels"');
  }
}
