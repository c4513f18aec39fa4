import type { ConformanceSetup, IsolatedSetup, ServerControl } from '@ambus/conformance';
import type { Broker } from '@ambus/core';
import { type FaultProxy, type Server, type ServerOptions, startServer } from '@ambus/testing';
import { type RedisOptions, redis } from '../../src/index.ts';
import { rawClient } from './raw.ts';

type Version = NonNullable<ServerOptions['redis']>['version'];

/** Of the servers beside the one whose version is told. */
const QUIET = { via: 'native', quiet: true } as const;

/** Every broker has a proxy of its own, so that one of them can be cut off. */
interface Reach {
  readonly proxies: Map<Broker, FaultProxy>;
  create(options?: RedisOptions): Promise<Broker>;
}

function reach(server: Server): Reach {
  const proxies = new Map<Broker, FaultProxy>();
  return {
    proxies,
    async create(options = {}) {
      const proxy = await server.proxy();
      const broker = redis({ url: proxy.url, ...options });
      proxies.set(broker, proxy);
      const { close } = broker;
      broker.close = async () => {
        await close.call(broker);
        proxies.delete(broker);
        await proxy.close();
      };
      return broker;
    },
  };
}

function faultsOf({
  proxies,
}: Reach): Pick<ServerControl, 'cut' | 'crash' | 'blackhole' | 'halfOpen' | 'slow'> {
  const all = (): FaultProxy[] => [...proxies.values()];
  const on = (chosen: FaultProxy[], act: (proxy: FaultProxy) => void): (() => Promise<void>) => {
    for (const proxy of chosen) act(proxy);
    return async () => {
      for (const proxy of chosen) proxy.restore();
    };
  };
  return {
    cut: async (broker) => on(broker === undefined ? all() : [proxies.get(broker)!], (proxy) => proxy.cut()),
    // Its sockets are gone, and nothing of it ever comes again.
    crash: async (broker) => proxies.get(broker)!.cut(),
    blackhole: async () => on(all(), (proxy) => proxy.blackhole()),
    halfOpen: async () => on(all(), (proxy) => proxy.halfOpen()),
    slow: async (delay) => on(all(), (proxy) => proxy.delay(delay)),
  };
}

/** An account that may use what is there, and make no group. */
const RESTRICTED = [
  'on',
  'nopass',
  '~*',
  '&*',
  '+@all',
  '-@admin',
  '-@dangerous',
  '+info',
  '-xgroup',
  '+xgroup|delconsumer',
];

async function restrict(server: Server): Promise<void> {
  const { Redis } = await import('ioredis');
  const client = new Redis(server.url);
  await client.acl('SETUSER', 'restricted', ...RESTRICTED);
  client.disconnect();
}

/**
 * The suite's setup for a plain server.
 *
 * @param own - options that every broker on it needs
 * @param version - of the servers that cases start for themselves
 */
export async function redisSetup(
  server: Server,
  own: RedisOptions = {},
  version?: Version,
): Promise<ConformanceSetup> {
  const reached = reach(server);
  await restrict(server);
  return {
    broker: 'redis',
    create: (options) => reached.create({ ...own, ...options }),
    isolate: () => isolated(version),
    shortLease: { lease: 1_000 },
    about: { version: server.version, started: server.started },
    server: {
      ...faultsOf(reached),
      wipe: () => server.wipe(),
      restart: () => server.restart(),
      pause: async () => {
        await server.pause();
        return () => server.resume();
      },
      raw: rawClient(() => server.url),
      processes: { broker: 'redis', url: server.url },
      nowhere: { create: () => redis({ host: '127.0.0.1', port: 1 }) },
      restricted: { create: () => redis({ url: server.url.replace('//', '//restricted:x@') }) },
      credentials: { createWrong: () => redis({ url: server.url.replace('//', '//nobody:wrong@') }) },
      tls: { createUntrusted: async () => (await secured()).create() },
      cluster: cluster(version),
    },
  };
}

async function isolated(version: Version): Promise<IsolatedSetup> {
  // Not an ACL user beside a default user that is off: Redis 7.0 then skips scripts' writes when it loads its file.
  const server = await startServer('redis', { ...QUIET, version, auth: 'password' });
  const password = (): string => server.credentials.password!;
  const setup = await redisSetup(server, { password }, version);
  return {
    ...setup,
    server: {
      ...setup.server,
      credentials: {
        createWrong: () => redis({ url: server.url, password: 'wrong' }),
        rotate: async () => void (await server.rotate()),
      },
    },
    close: () => server.close(),
  };
}

let tls: Promise<Server> | undefined;

/** A server whose certificate nobody here has been told to trust. */
async function secured(): Promise<{ create(): Broker }> {
  tls ??= startServer('redis', { ...QUIET, tls: true });
  const { url } = await tls;
  return { create: () => redis({ url }) };
}

/** A cluster of its own for each case: one node goes, and its replica takes over. */
function cluster(version: Version): NonNullable<ServerControl['cluster']> {
  let started: Promise<Server> | undefined;
  const start = (): Promise<Server> => {
    started ??= startServer('redis', { ...QUIET, version, cluster: 3, replicas: 1 });
    return started;
  };
  return {
    async create() {
      const { nodes } = await start();
      return redis({ cluster: nodes.map(({ host, port }) => ({ host, port })) });
    },
    async stopOne() {
      const node = (await start()).nodes[0]!;
      await node.kill9();
      return () => node.start();
    },
  };
}

/**
 * The suite's setup for three nodes of a cluster. There is no proxy: the nodes tell each client where the others are. What
 * happens to the server happens to all nodes at once; `redisSetup` has the case in which one of them goes.
 */
export function clusterSetup(server: Server): IsolatedSetup {
  const nodes = server.nodes.map(({ host, port }) => ({ host, port }));
  return {
    broker: 'redis',
    create: (options) => redis({ cluster: nodes, ...options }),
    isolate: async () => clusterSetup(await startServer('redis', { ...QUIET, cluster: 3 })),
    shortLease: { lease: 1_000 },
    about: { version: server.version, started: `${server.started}, 3 nodes` },
    server: {
      wipe: () => server.wipe(),
      restart: () => server.restart(),
      pause: async () => {
        await server.pause();
        return () => server.resume();
      },
      processes: {
        broker: 'redis',
        url: `redis+cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
      },
    },
    close: () => server.close(),
  };
}
