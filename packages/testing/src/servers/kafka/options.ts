import { ConfigError, check } from '@ambus/core';
import { commonChecks } from '../options.ts';
import type { CommonServerOptions } from '../types.ts';

/** Options of `startServer('kafka')`. */
export interface KafkaServerOptions extends CommonServerOptions {
  /** Default `4.3`. */
  readonly version?: '4.3' | '3.9' | undefined;
  /** SASL mechanism by which clients are let in; `oauthbearer` takes tokens that nobody signed. Default: everybody is. */
  readonly auth?: 'plain' | 'scram-sha-256' | 'scram-sha-512' | 'oauthbearer' | undefined;
  /** Speaks only TLS; with `mutual` it asks clients for a certificate. Default false. */
  readonly tls?: boolean | 'mutual' | undefined;
  /** Brokers of a cluster, 3 or more, all of them controllers, too. Default: one broker. */
  readonly cluster?: number | undefined;
  /** Settings of `server.properties` over ours: `{ 'message.max.bytes': '2000000' }`. */
  readonly properties?: Readonly<Record<string, string>> | undefined;
}

const SPEC: check.Spec<KafkaServerOptions> = {
  ...commonChecks,
  version: check.oneOf('4.3', '3.9'),
  auth: check.oneOf('plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'),
  tls: check.oneOf(true, false, 'mutual'),
  cluster: check.integer(3, 7),
  properties: check.object,
};

export function checkKafkaOptions(options: KafkaServerOptions): void {
  check.checkOptions('startServer option', options, SPEC, ConfigError);
}
