import type { ConnectionOptions } from 'node:tls';
import { BusError, ConfigError } from '@ambus/core';
import { Cluster, type ClusterOptions, type RedisOptions as DriverOptions, Redis } from 'ioredis';
import { isBroken, isMisdirected, messageOf, withoutArguments } from '../errors.ts';

/** The driver's client, of one server or of a cluster. */
export type Client = Redis | Cluster;

/** Where the server is, and as whom to talk to it. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | (() => string | Promise<string>) | undefined;
  readonly tls: ConnectionOptions | undefined;
  readonly sentinel: SentinelTarget | undefined;
  readonly cluster: readonly Address[] | undefined;
  /** Takes the place of all of the above but `db`. */
  readonly client: Client | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface SentinelTarget {
  readonly name: string;
  readonly nodes: readonly Address[];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: ConnectionOptions | undefined;
}

/**
 * Everything by which the driver would act on its own is off: queueing would send after a deadline, resending would send
 * twice, and reconnecting is done by whoever knows what to restore. So is what a client that was given may be set to and
 * what would change our calls or their answers.
 */
const PASSIVE = {
  stringNumbers: false,
  keyPrefix: '',
  commandTimeout: undefined,
  blockingTimeout: undefined,
  socketTimeout: undefined,
  enableAutoPipelining: false,
  readOnly: false,
  monitor: false,
  role: 'master',
  reconnectOnError: null,
  sentinelRetryStrategy: () => null,
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  maxRetriesPerRequest: null,
  retryStrategy: () => null,
  noDelay: true,
  keepAlive: 10_000,
  // Redis 7.0 does not know the command, and an account need not be allowed it.
  disableClientInfo: true,
} as const satisfies DriverOptions;

/** Milliseconds between two questions for the password of a cluster that may have changed. */
const ASK_AGAIN = 60_000;
/** Milliseconds that the nodes of a cluster get to answer before work begins without those that have not. */
const NODES_TIMEOUT = 1_000;
/** What the driver says of a cluster when it keeps the reason to itself. */
const UNTOLD = /^(?:Connection is closed|None of startup nodes)/;

/** By its shape: a client that is given may be of another copy of the driver. */
export function isCluster(client: Client | undefined): client is Cluster {
  return typeof (client as { nodes?: unknown } | undefined)?.nodes === 'function';
}

/** @param timeout - milliseconds for the connection to be ready */
export async function dial(target: Target, name: string, timeout: number): Promise<Client> {
  const client = await open(await create(target, name, timeout), timeout);
  if (isCluster(client)) {
    openNewNodes(target, client);
    await openNodes(client);
  }
  return client;
}

/**
 * The driver dials a cluster's node with the first command for it and refuses those that follow until it is there; so all
 * are dialled before anything is asked of them. One that is down holds nobody up.
 */
async function openNodes(client: Cluster): Promise<void> {
  const late = new Promise<void>((resolve) => setTimeout(resolve, NODES_TIMEOUT).unref());
  await Promise.race([Promise.all(client.nodes('master').map(openNode)), late]);
}

async function openNode(node: Redis): Promise<void> {
  if (node.status === 'wait') return void (await node.connect().catch(() => {}));
  if (node.status === 'ready' || node.status === 'end') return;
  await new Promise<void>((resolve) => {
    node.once('ready', resolve);
    node.once('end', resolve);
  });
}

/** A connection to one server: a cluster's node, where there is a cluster. */
export async function dialNode(target: Target, name: string, timeout: number, via: Client): Promise<Redis> {
  if (!isCluster(via)) return (await dial(target, name, timeout)) as Redis;
  const nodes = via.nodes('master').filter((node) => node.status === 'ready');
  const node = nodes[Math.floor(Math.random() * nodes.length)];
  if (node === undefined) throw new Error('Connection is closed.');
  const own = await common(target, name, timeout);
  const { host, port } = node.options;
  return open(new Redis({ ...node.options, ...own, host: host!, port: port!, readOnly: false }), timeout);
}

/**
 * Opens a cluster's nodes as they appear, with the password of that day: the driver keeps the one that it began with for each
 * node that it meets later, and for the connections on which it asks the others who has which slots.
 */
function openNewNodes({ password: asked }: Target, client: Cluster): void {
  const renew = async (): Promise<void> => {
    if (typeof asked !== 'function') return;
    const password = await asked();
    for (const { options } of [...client.nodes(), { options: client.options.redisOptions! }])
      options.password = password;
  };
  client.on('+node', async (node: Redis) => {
    // Whoever cannot be asked now is asked again; meanwhile the old one may do.
    await renew().catch(() => {});
    await openNode(node);
  });
  if (typeof asked !== 'function') return;
  const timer = setInterval(() => void renew().catch(() => {}), ASK_AGAIN).unref();
  client.once('end', () => clearInterval(timer));
}

async function create(target: Target, name: string, timeout: number): Promise<Client> {
  const { client, cluster, sentinel, host, port } = target;
  const own = await common(target, name, timeout);
  if (isCluster(client))
    return client.duplicate([], clusterOptions({ ...client.options.redisOptions, ...own }));
  if (client !== undefined) return client.duplicate(own);
  if (cluster !== undefined) return new Cluster([...cluster], clusterOptions(own));
  if (sentinel !== undefined) {
    return new Redis({
      ...own,
      sentinels: [...sentinel.nodes],
      name: sentinel.name,
      ...defined('sentinelUsername', sentinel.username),
      ...defined('sentinelPassword', sentinel.password),
      ...defined('sentinelTLS', sentinel.tls),
      enableTLSForSentinelMode: sentinel.tls !== undefined,
    });
  }
  return new Redis({ ...own, host, port });
}

async function common(target: Target, name: string, timeout: number): Promise<DriverOptions> {
  const { client, db, username, tls } = target;
  const base = { ...PASSIVE, connectTimeout: timeout, connectionName: name, db };
  if (client !== undefined) return base;
  const password = typeof target.password === 'function' ? await target.password() : target.password;
  return {
    ...base,
    ...defined('username', username),
    ...defined('password', password),
    ...defined('tls', tls),
  };
}

function clusterOptions(own: DriverOptions): ClusterOptions {
  const { lazyConnect: _, retryStrategy: __, db: ___, ...redisOptions } = own;
  return {
    redisOptions,
    keyPrefix: '',
    enableAutoPipelining: false,
    scaleReads: 'master',
    shardedSubscribers: false,
    clusterNodeRetryStrategy: undefined,
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    // A command whose connection broke may have been carried out: it is not the driver's to send it again.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    // Few and quick: who sends knows until when it may be repeated.
    maxRedirections: 4,
    retryDelayOnTryAgain: 10,
    slotsRefreshTimeout: 2_000,
    slotsRefreshInterval: 5_000,
  };
}

function defined<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}

async function open<T extends Client>(client: T, timeout: number): Promise<T> {
  let failure: unknown;
  let node: Redis | undefined;
  // The driver rejects with "Connection is closed" and tells the reason beside it.
  client.on('error', (error: unknown) => {
    failure ??= error;
  });
  const met = (one: Redis): void => {
    node = one;
  };
  client.on('+node', met);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`connect ETIMEDOUT: no answer within ${timeout} ms`)), timeout);
  });
  // A cluster whose first answer comes from a node that is down ends, and leaves who waits for it waiting.
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(new Error('Connection is closed.'));
  client.once('end', end);
  try {
    await Promise.race([connected(client), late, ended.promise]);
    return client;
  } catch (error) {
    hangUp(client);
    const reason = BusError.is(error) ? error : (reasonOf(failure) ?? error);
    throw node !== undefined && UNTOLD.test(messageOf(reason))
      ? await reasonAt(node, timeout, reason)
      : reason;
  } finally {
    client.off('+node', met);
    client.off('end', end);
    clearTimeout(timer);
  }
}

/** Of a cluster's node that cannot be reached the driver does not tell why, such as a certificate that is not trusted. */
async function reasonAt(node: Redis, timeout: number, known: unknown): Promise<unknown> {
  try {
    hangUp(await open(node.duplicate(PASSIVE), Math.min(timeout, NODES_TIMEOUT)));
    return known;
  } catch (reason) {
    return reason;
  }
}

/** The driver connects to database 0 when it may not use the one that it is told, and says so beside it. */
async function connected(client: Client): Promise<void> {
  await client.connect();
  if (isCluster(client) || !client.options.db) return;
  const { db } = client.options;
  try {
    await client.select(db);
  } catch (error) {
    if (isBroken(error) || isMisdirected(error)) throw error;
    throw new ConfigError(
      `redis option "db": the server does not let this account use ${db}: ${messageOf(error)}`,
      {
        broker: 'redis',
        cause: withoutArguments(error),
      },
    );
  }
}

/** A cluster that cannot be reached keeps the reason one level down. */
function reasonOf(failure: unknown): unknown {
  const inner = (failure as { lastNodeError?: unknown } | undefined)?.lastNodeError;
  return inner ?? failure;
}

/** Ends a connection at once: a peer that does not answer would hold up a polite end. */
export function hangUp(client: Client): void {
  client.disconnect();
  if (!isCluster(client)) (client as { stream?: { destroy(): void } }).stream?.destroy();
}
