import { ConfigError, check } from '@ambus/core';
import { commonChecks } from '../options.ts';
import type { CommonServerOptions } from '../types.ts';

/** A further user, for a program that may do less. */
export interface NatsUser {
  readonly user: string;
  readonly password: string;
  /** As in the server's configuration: `{ publish: { allow: ['orders.>'] }, subscribe: … }`. Default: everything. */
  readonly permissions?: object | undefined;
}

/** Options of `startServer('nats')`. */
export interface NatsServerOptions extends CommonServerOptions {
  /** Default 2.15 on this computer, and in a container what the image `nats:2` has. */
  readonly version?: '2.15' | '2.11' | undefined;
  /** How clients are let in. Default: everybody is. */
  readonly auth?: 'user' | 'token' | 'nkey' | 'jwt' | undefined;
  /** More users beside that of `auth: 'user'`. */
  readonly users?: readonly NatsUser[] | undefined;
  /** Speaks only TLS; with `mutual` it asks clients for a certificate, with `first` it is silent before. Default false. */
  readonly tls?: boolean | 'mutual' | 'first' | undefined;
  /** Servers of a cluster, 3 or more. Default: no cluster. */
  readonly cluster?: number | undefined;
  /** JetStream. Default true. */
  readonly jetStream?: boolean | undefined;
  /** Further lines of the configuration file. */
  readonly config?: string | undefined;
}

const SPEC: check.Spec<NatsServerOptions> = {
  ...commonChecks,
  version: check.oneOf('2.15', '2.11'),
  auth: check.oneOf('user', 'token', 'nkey', 'jwt'),
  users: check.arrayOf(
    check.options<NatsUser>({ user: check.text(), password: check.text(), permissions: check.object }),
  ),
  tls: check.oneOf(true, false, 'mutual', 'first'),
  cluster: check.integer(3, 9),
  jetStream: check.boolean,
  config: check.text(1024 * 1024),
};

export function checkNatsOptions(options: NatsServerOptions): void {
  check.checkOptions('startServer option', options, SPEC, ConfigError);
  if (options.users !== undefined && options.auth !== 'user') {
    throw new ConfigError('startServer: "users" of NATS go together with auth: "user"');
  }
}
