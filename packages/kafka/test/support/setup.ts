import net from 'node:net';
import tls from 'node:tls';
import type { IsolatedSetup, ServerControl } from '@ambus/conformance';
import type { Broker } from '@ambus/core';
import type { FaultProxy, Server, ServerOptions } from '@ambus/testing';
import type { SASLOptions } from 'kafkajs';
import { type KafkaOptions, kafka } from '../../src/index.ts';
import { as, startWithAccounts } from './accounts.ts';
import { rawClient } from './raw.ts';
import { startKafka } from './start.ts';

type SocketFactory = NonNullable<KafkaOptions['socketFactory']>;

/** Kafka tells its clients where to go on, past any proxy: so every socket is made to the proxy instead. */
function through(proxy: FaultProxy): SocketFactory {
  return ({ ssl, onConnect }) => {
    const at = { host: proxy.host, port: proxy.port };
    return ssl ? tls.connect({ ...at, ...ssl }, onConnect) : net.connect(at, onConnect);
  };
}

/** Few partitions: a suite makes thousands of topics. */
export const SMALL: KafkaOptions = { partitions: 4 };

/**
 * The suite's setup for one broker. Its client for each bus has a proxy of its own, so that one of them can be cut off.
 *
 * @param options - of the server, and of those that cases start for themselves
 */
export async function kafkaSetup(options: ServerOptions['kafka'] = {}): Promise<IsolatedSetup> {
  const server = await startWithAccounts({ ...options, quiet: false });
  const setup = setupOf(server, options, as('owner'));
  const at = `${server.host}:${server.port}`;
  const { username, password } = as('owner');
  return {
    ...setup,
    server: {
      ...setup.server,
      processes: { broker: 'kafka', url: `kafka://${username}:${password}@${at}` },
      restricted: { create: () => kafka({ ...SMALL, brokers: at, sasl: as('app') }) },
    },
    async close() {
      await server.close();
      await closeShared();
    },
  };
}

function setupOf(server: Server, options: ServerOptions['kafka'], sasl?: SASLOptions): IsolatedSetup {
  const proxies = new Map<Broker, FaultProxy>();
  const create = async (options: KafkaOptions = {}): Promise<Broker> => {
    const proxy = await server.proxy();
    const broker = kafka({
      ...SMALL,
      ...(sasl && { sasl }),
      brokers: `${server.host}:${server.port}`,
      socketFactory: through(proxy),
      ...options,
    });
    proxies.set(broker, proxy);
    const { close } = broker;
    broker.close = async () => {
      await close.call(broker);
      proxies.delete(broker);
      await proxy.close();
    };
    return broker;
  };
  const on = (chosen: readonly FaultProxy[], act: (proxy: FaultProxy) => void): (() => Promise<void>) => {
    for (const proxy of chosen) act(proxy);
    return async () => {
      for (const proxy of chosen) proxy.restore();
    };
  };
  const all = (): FaultProxy[] => [...proxies.values()];
  return {
    broker: 'kafka',
    create,
    shortLease: { sessionTimeout: 1_500 },
    isolate: async () => setupOf(await startKafka(options), options),
    patience: 15_000,
    about: { version: server.version, started: server.started },
    close: () => server.close(),
    server: {
      raw: rawClient(() => `${server.host}:${server.port}`, sasl),
      cut: async (broker) =>
        on(broker === undefined ? all() : [proxies.get(broker)!], (proxy) => proxy.cut()),
      // Its sockets are gone, and nothing of it ever comes again.
      crash: async (broker) => proxies.get(broker)!.cut(),
      blackhole: async () => on(all(), (proxy) => proxy.blackhole()),
      halfOpen: async () => on(all(), (proxy) => proxy.halfOpen()),
      slow: async (delay) => on(all(), (proxy) => proxy.delay(delay)),
      wipe: () => server.wipe(),
      restart: () => server.restart(),
      async pause() {
        await server.pause();
        return () => server.resume();
      },
      processes: { broker: 'kafka', url: `kafka://${server.host}:${server.port}` },
      nowhere: { create: () => kafka({ brokers: '127.0.0.1:1' }) },
      cluster: cluster(options),
      credentials: {
        async createWrong() {
          const { host, port } = await secured();
          return kafka({
            brokers: `${host}:${port}`,
            sasl: { mechanism: 'plain', username: 'nobody', password: 'wrong' },
          });
        },
      },
      tls: {
        async createUntrusted() {
          const { host, port } = await encrypted();
          return kafka({ brokers: `${host}:${port}`, ssl: true });
        },
      },
    },
  };
}

/** Servers that several cases share, and their end. */
const shared = new Map<string, Promise<Server>>();

function share(name: string, start: () => Promise<Server>): Promise<Server> {
  const running = shared.get(name) ?? start();
  shared.set(name, running);
  return running;
}

async function closeShared(): Promise<void> {
  for (const server of shared.values()) await (await server).close();
}

const secured = (): Promise<Server> => share('auth', () => startKafka({ auth: 'plain' }));
const encrypted = (): Promise<Server> => share('tls', () => startKafka({ tls: true }));

/** Three nodes, of which one can go. */
function cluster(options: ServerOptions['kafka']): NonNullable<ServerControl['cluster']> {
  const start = (): Promise<Server> => share('cluster', () => startKafka({ ...options, cluster: 3 }));
  return {
    async create() {
      const { nodes } = await start();
      return kafka({
        ...SMALL,
        brokers: nodes.map(({ host, port }) => `${host}:${port}`),
        replicationFactor: 3,
      });
    },
    async stopOne() {
      const node = (await start()).nodes[0]!;
      await node.kill9();
      return () => node.start();
    },
  };
}
