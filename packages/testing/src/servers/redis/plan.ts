import { randomBytes } from 'node:crypto';
import type { NodePlan, ServerPlan } from '../kind.ts';
import { freePort, freePorts } from '../process/ports.ts';
import { type Certificates, makeCertificates } from '../tls/certificates.ts';
import type { ServerCredentials } from '../types.ts';
import { clusterIsWhole, joinCluster } from './cluster.ts';
import { authConfig, CERTIFICATES, type RedisNodeConfig, redisConfig, sentinelConfig } from './config.ts';
import type { RedisServerOptions } from './options.ts';
import { type RedisAddress, redisCommands } from './resp.ts';
import { sentinelsAgree } from './sentinels.ts';

export async function planRedis(options: RedisServerOptions, host: string): Promise<ServerPlan> {
  const { cluster, sentinels: watchers = 0, args = [] } = options;
  const certificates = options.tls ? makeCertificates() : undefined;
  let credentials = made(options);
  const masters = cluster ?? 1;
  const replicas = masters * (options.replicas ?? (watchers > 0 ? 1 : 0));
  const ports = await freePorts(masters + replicas);

  const address = (port: number): RedisAddress => ({
    host: '127.0.0.1',
    port,
    tls: certificates !== undefined,
    ...certificates?.client,
    credentials,
  });
  const ask = (port: number, ...command: string[]) => redisCommands(address(port), [command]);

  const config = async (port: number, index: number): Promise<RedisNodeConfig> => ({
    host,
    port,
    options,
    credentials,
    ...(cluster === undefined ? {} : { busPort: await freePort() }),
    ...(index < masters ? {} : { replicaOf: ports[index % masters] as number }),
  });
  const configs = await Promise.all(ports.map(config));

  const node = (
    name: string,
    { port, busPort }: RedisNodeConfig,
    rest: Pick<NodePlan, 'args' | 'files'>,
  ) => ({
    name,
    port,
    ports: busPort === undefined ? [port] : [port, busPort],
    url: () => redisUrl(port, credentials, options.tls),
    program: 'redis-server',
    ...rest,
    files: { ...rest.files, ...files(certificates) },
    ready: () => ask(port, 'PING'),
  });

  const nodes = configs.map((one, index) =>
    node(`n${index + 1}`, one, {
      args: ['redis.conf', ...args],
      files: { 'redis.conf': redisConfig(one), 'auth.conf': authConfig(credentials) },
    }),
  );
  const quorum = Math.floor(watchers / 2) + 1;
  const watcherPorts = await freePorts(watchers);
  // A Sentinel's own users are not the server's.
  const askSentinel = (port: number, ...command: string[]) =>
    redisCommands({ ...address(port), credentials: {} }, [command]);
  const sentinels = watcherPorts.map((port, index) => {
    const one = { host, port, options, credentials };
    return {
      ...node(`s${index + 1}`, one, {
        args: ['sentinel.conf', '--sentinel'],
        files: { 'sentinel.conf': sentinelConfig(one, ports[0] as number, quorum) },
      }),
      ready: () => askSentinel(port, 'PING'),
    };
  });

  return {
    nodes,
    sentinels,
    ...(certificates === undefined ? {} : { tls: certificates.client }),
    credentials,
    ...(cluster === undefined ? {} : { assemble: () => joinCluster(configs, masters, ask) }),
    async settled() {
      if (cluster !== undefined) await clusterIsWhole(configs, ask);
      await sentinelsAgree(watcherPorts, replicas, askSentinel);
    },
    version: async () => versionOf((await ask(ports[0] as number, 'INFO', 'server'))[0]),
    async wipe() {
      await Promise.all(ports.map((port) => wipeOne(ask, port)));
    },
    async rotate(change) {
      const next = made(options);
      const { user, password = '' } = next;
      await change({ 'auth.conf': authConfig(next) });
      for (const port of ports) {
        const commands =
          user === undefined
            ? [['CONFIG', 'SET', 'requirepass', password, 'masterauth', password]]
            : [
                ['ACL', 'SETUSER', user, 'resetpass', `>${password}`],
                ['CONFIG', 'SET', 'masterauth', password],
              ];
        // It keeps those who are in, as they are; a change of credentials is only noticed by who has to come again.
        await redisCommands(address(port), [
          ...commands,
          ['CLIENT', 'KILL', 'TYPE', 'normal'],
          ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
        ]);
      }
      for (const port of watcherPorts)
        await askSentinel(port, 'SENTINEL', 'SET', 'ambus', 'auth-pass', password);
      credentials = next;
      return next;
    },
  };
}

type Ask = (port: number, ...command: string[]) => Promise<string[]>;

/** A replica follows its master, which is wiped itself. */
async function wipeOne(ask: Ask, port: number): Promise<void> {
  await ask(port, 'FLUSHALL').catch((error: Error) => {
    if (!error.message.includes('READONLY')) throw error;
  });
}

function made({ auth }: RedisServerOptions): ServerCredentials {
  if (auth === undefined) return {};
  const password = randomBytes(12).toString('hex');
  return auth === 'user' ? { user: 'ambus', password } : { password };
}

function redisUrl(port: number, { user = '', password }: ServerCredentials, tls: unknown): string {
  return `${tls ? 'rediss' : 'redis'}://${password === undefined ? '' : `${user}:${password}@`}127.0.0.1:${port}`;
}

const files = (certificates: Certificates | undefined): Record<string, string> =>
  certificates === undefined
    ? {}
    : {
        [CERTIFICATES.ca]: certificates.client.ca,
        [CERTIFICATES.cert]: certificates.server.cert,
        [CERTIFICATES.key]: certificates.server.key,
      };

/** Valkey tells its own version besides that of the Redis it is like. */
export function versionOf(info = ''): string {
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
  const valkey = field('valkey_version');
  return valkey === undefined ? `Redis ${field('redis_version') ?? 'unknown'}` : `Valkey ${valkey}`;
}
