import { ConfigError, check } from '@ambus/core';
import { kafkaKind } from './kafka/kind.ts';
import type { KafkaServerOptions } from './kafka/options.ts';
import type { Kind } from './kind.ts';
import { natsKind } from './nats/kind.ts';
import type { NatsServerOptions } from './nats/options.ts';
import { redisKind } from './redis/kind.ts';
import type { RedisServerOptions } from './redis/options.ts';
import { type SchemaRegistryServerOptions, schemaRegistryKind } from './schema-registry/kind.ts';
import { type ServiceBusServerOptions, serviceBusKind } from './servicebus/kind.ts';
import { type SqsServerOptions, sqsKind } from './sqs/kind.ts';
import type { CommonServerOptions, Server, ServerKind, ServerWay } from './types.ts';
import { WAYS } from './ways.ts';

/** Options of `startServer`, by the kind of the server. */
export interface ServerOptions {
  readonly redis: RedisServerOptions;
  readonly nats: NatsServerOptions;
  readonly kafka: KafkaServerOptions;
  readonly sqs: SqsServerOptions;
  readonly servicebus: ServiceBusServerOptions;
  readonly 'schema-registry': SchemaRegistryServerOptions;
}

const KINDS: { readonly [K in ServerKind]: Kind<ServerOptions[K]> } = {
  redis: redisKind,
  nats: natsKind,
  kafka: kafkaKind,
  sqs: sqsKind,
  servicebus: serviceBusKind,
  'schema-registry': schemaRegistryKind,
};

const said = new Set<string>();

/**
 * A real server for a test: somebody's own if the environment has its address (`AMB_REDIS_URL` …), else one in Docker if
 * that and testcontainers are there, else one of this computer, downloaded once into a cache. It listens on loopback only,
 * has ports and data of its own, and is killed at the latest when this process ends, also when that is killed.
 *
 * @throws {ConfigError} when an option is wrong, or no way leads to a server: it names the reason of each, with the end of
 *   the log of a server that did not start
 * @throws {ConnectionError} when there is only one way to try, and on that the server does not start, or does not answer
 */
export async function startServer<K extends ServerKind>(
  name: K,
  options: ServerOptions[K] = {},
): Promise<Server> {
  check.checkArgument('startServer kind', name, check.oneOf(...Object.keys(KINDS)));
  const kind = KINDS[name];
  kind.check(options);
  const server = await firstThatWorks(kind, options);
  if (!options.quiet) announce(server);
  return server;
}

async function firstThatWorks<O extends CommonServerOptions>(kind: Kind<O>, options: O): Promise<Server> {
  const reasons: string[] = [];
  const ways = waysToTry(kind, options);
  for (const way of ways) {
    try {
      return await WAYS[way](kind, options);
    } catch (error) {
      if (ways.length === 1) throw error;
      reasons.push(`${way}: ${(error as Error).message}`);
    }
  }
  throw new ConfigError(`there is no way to a ${kind.name} server:\n${reasons.join('\n')}`);
}

function waysToTry<O extends CommonServerOptions>(kind: Kind<O>, options: O): readonly ServerWay[] {
  const forced = forcedWay();
  const named = options.via === undefined ? undefined : [options.via].flat();
  if (forced !== undefined && (named === undefined || named.includes(forced))) return [forced];
  if (named !== undefined) return named;
  // Somebody's own server is as it is: what asks for TLS or a cluster needs one of ours.
  const { quiet: _, ...special } = options;
  const anyServer = Object.values(special).every((value) => value === undefined);
  return anyServer && process.env[kind.variable] ? ['url'] : ['docker', 'native'];
}

function forcedWay(): ServerWay | undefined {
  const { AMB_SERVER: forced } = process.env;
  if (!forced) return undefined;
  if (forced === 'docker' || forced === 'native') return forced;
  throw new ConfigError(`AMB_SERVER must be "docker" or "native", not ${JSON.stringify(forced)}`);
}

function announce({ kind, version, started }: Server): void {
  const text = `${kind}: ${version}, ${started}`;
  if (said.has(text)) return;
  said.add(text);
  process.stderr.write(`ambus ${text}\n`);
}
