import type { ConnectionOptions } from 'node:tls';
import { Cluster, type ClusterOptions, type RedisOptions as DriverOptions, Redis } from 'ioredis';

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
  /** Takes the place of all of the above. */
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
 * twice, and reconnecting is done by whoever knows what to restore.
 */
const PASSIVE = {
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

/** Milliseconds that the nodes of a cluster get to answer before work begins without those that have not. */
const NODES_TIMEOUT = 1_000;

export function isCluster(client: Client | undefined): client is Cluster {
  return client instanceof Cluster;
}

/** @param timeout - milliseconds for the connection to be ready */
export async function dial(target: Target, name: string, timeout: number): Promise<Client> {
  const client = await open(await create(target, name, timeout), timeout);
  if (isCluster(client)) await openNodes(client);
  return client;
}

/**
 * The driver dials a cluster's node with the first command for it and refuses those that follow until it is there; so all
 * are dialled before anything is asked of them. One that is down holds nobody up.
 */
async function openNodes(client: Cluster): Promise<void> {
  client.on('+node', (node: Redis) => setImmediate(() => void openNode(node)));
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

async function create(target: Target, name: string, timeout: number): Promise<Client> {
  const { client, cluster, sentinel, host, port } = target;
  const own = await common(target, name, timeout);
  if (client instanceof Cluster)
    return client.duplicate([], {
      ...clusterOptions(own),
      ...client.options,
      ...clusterOptions({ ...client.options.redisOptions, ...own }),
    });
  if (client instanceof Redis) return client.duplicate(own);
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
      sentinelRetryStrategy: () => null,
    });
  }
  return new Redis({ ...own, host, port });
}

async function common(target: Target, name: string, timeout: number): Promise<DriverOptions> {
  const base = { ...PASSIVE, connectTimeout: timeout, connectionName: name };
  if (target.client !== undefined) return base;
  const { db, username, tls } = target;
  const password = typeof target.password === 'function' ? await target.password() : target.password;
  return {
    ...base,
    db,
    ...defined('username', username),
    ...defined('password', password),
    ...defined('tls', tls),
  };
}

function clusterOptions(own: DriverOptions): ClusterOptions {
  const { lazyConnect: _, retryStrategy: __, db: ___, ...redisOptions } = own;
  return {
    redisOptions,
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
  // The driver rejects with "Connection is closed" and tells the reason beside it.
  client.on('error', (error: unknown) => {
    failure ??= error;
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`connect ETIMEDOUT: no answer within ${timeout} ms`)), timeout);
  });
  try {
    await Promise.race([client.connect(), late]);
    return client;
  } catch (error) {
    hangUp(client);
    throw reasonOf(failure) ?? error;
  } finally {
    clearTimeout(timer);
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
  if (client instanceof Redis) (client as { stream?: { destroy(): void } }).stream?.destroy();
}
