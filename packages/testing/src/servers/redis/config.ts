import { randomBytes } from 'node:crypto';
import type { ServerCredentials } from '../types.ts';
import type { RedisServerOptions } from './options.ts';

/** Where a node's certificates lie in its directory. */
export const CERTIFICATES = { ca: 'tls/ca.pem', cert: 'tls/server.pem', key: 'tls/server.key' };

export interface RedisNodeConfig {
  readonly host: string;
  readonly port: number;
  /** Of the cluster's own talk. */
  readonly busPort?: number;
  readonly options: RedisServerOptions;
  readonly credentials: ServerCredentials;
  /** Port of the master. */
  readonly replicaOf?: number;
}

const network = ({ host, port, options }: RedisNodeConfig): string[] => [
  `bind ${host}`,
  'protected-mode no',
  ...(options.tls
    ? [
        'port 0',
        `tls-port ${port}`,
        `tls-ca-cert-file ${CERTIFICATES.ca}`,
        `tls-cert-file ${CERTIFICATES.cert}`,
        `tls-key-file ${CERTIFICATES.key}`,
        `tls-auth-clients ${options.tls === 'mutual' ? 'yes' : 'no'}`,
        'tls-replication yes',
        'tls-cluster yes',
      ]
    : [`port ${port}`]),
];

/** Content of `auth.conf`: who is let in, and how a replica presents itself to its master. */
export function authConfig({ user, password }: ServerCredentials): string {
  if (password === undefined) return '';
  const lines =
    user === undefined
      ? [`requirepass ${password}`]
      : [
          `user ${user} on >${password} ~* &* +@all`,
          // Not `off`: Redis 7.0 then leaves out what scripts and transactions wrote when it loads its append-only file.
          `user default on >${randomBytes(32).toString('hex')} ~* &* +@all`,
          `masteruser ${user}`,
        ];
  return `${[...lines, `masterauth ${password}`].join('\n')}\n`;
}

/** Content of a server's `redis.conf`. */
export function redisConfig(node: RedisNodeConfig): string {
  const { busPort, replicaOf } = node;
  const lines = [
    ...network(node),
    // Every write is in the file before it is answered, so a killed server has it: the system keeps what a dead process
    // wrote. `everysec` would put writes off while it syncs, and `always` only helps against a loss of power.
    'appendonly yes',
    'appendfsync no',
    'save ""',
    'enable-debug-command yes',
    'repl-diskless-sync-delay 0',
    ...(busPort === undefined
      ? []
      : [
          'cluster-enabled yes',
          'cluster-config-file nodes.conf',
          `cluster-port ${busPort}`,
          'cluster-node-timeout 1000',
        ]),
    ...(replicaOf === undefined || busPort !== undefined ? [] : [`replicaof 127.0.0.1 ${replicaOf}`]),
    'include auth.conf',
  ];
  return `${lines.join('\n')}\n`;
}

/** Content of a Sentinel's configuration, which it rewrites itself. */
export function sentinelConfig(node: RedisNodeConfig, master: number, quorum: number): string {
  const { user, password } = node.credentials;
  const lines = [
    ...network(node),
    'dir .',
    'sentinel resolve-hostnames yes',
    `sentinel monitor ambus 127.0.0.1 ${master} ${quorum}`,
    'sentinel down-after-milliseconds ambus 500',
    'sentinel failover-timeout ambus 2000',
    ...(password === undefined ? [] : [`sentinel auth-pass ambus ${password}`]),
    ...(user === undefined ? [] : [`sentinel auth-user ambus ${user}`]),
  ];
  return `${lines.join('\n')}\n`;
}
