import { readFileSync } from 'node:fs';
import type { IsolatedSetup } from '@ambus/conformance';
import type { Broker } from '@ambus/core';
import { type FaultProxy, type NatsUser, type Server, type ServerOptions, startServer } from '@ambus/testing';
import { nats } from '../../src/index.ts';
import type { NatsOptions } from '../../src/options.ts';
import { rawClient } from './raw.ts';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

function told(what: string, pattern: RegExp, each: RegExp): string[] {
  const found = pattern.exec(readme);
  if (found === null) throw new Error(`the README does not tell ${what}`);
  return Array.from(found[1]!.matchAll(each), ([, name]) => name!);
}

const MAY_PUBLISH = told('what may be published', /^publish: \{ allow: \[([^\]]*)\]/m, /"([^"]+)"/g);
const MAY_SUBSCRIBE = told('what may be subscribed to', /^subscribe: \{ allow: \[([^\]]*)\]/m, /"([^"]+)"/g);
const MAY_CREATE = told(
  'what who creates may publish',
  /^With `provision: 'create'` add (.*)\.$/m,
  /`(?:\$JS\.API\.)?([^`]+)`/g,
).map((name) => `$JS.API.${name}`);

/** Who may use what is there, and create nothing: the account of the README. */
export const RESTRICTED: NatsUser = {
  user: 'restricted',
  password: 'a-password-of-its-own',
  permissions: { publish: { allow: MAY_PUBLISH }, subscribe: { allow: MAY_SUBSCRIBE } },
};

/** With what the README adds for who creates. */
export const CREATING: NatsUser = {
  user: 'creating',
  password: 'a-password-of-its-own',
  permissions: {
    publish: { allow: [...MAY_PUBLISH, ...MAY_CREATE] },
    subscribe: { allow: MAY_SUBSCRIBE },
  },
};

/** Milliseconds; the usual one would make each crash half a minute long. */
const SHORT_LEASE = 3_000;

type Version = NonNullable<ServerOptions['nats']>['version'];

interface Tracked {
  readonly broker: Broker;
  readonly proxy: FaultProxy;
}

/** A setup around one server: each broker comes in through a proxy of its own, so that its connection can be cut. */
function setupOf(server: Server, version?: Version): IsolatedSetup {
  const tracked: Tracked[] = [];
  const raw = rawClient(() => server.url);
  const login = (): NatsOptions =>
    server.credentials.user === undefined
      ? {}
      : { user: () => server.credentials.user ?? '', password: () => server.credentials.password ?? '' };
  const create = async (options: NatsOptions = {}): Promise<Broker> => {
    const proxy = await server.proxy();
    const broker = nats({ url: `nats://127.0.0.1:${proxy.port}`, ...login(), ...options });
    tracked.push({ broker, proxy });
    return broker;
  };
  const all = async (change: (proxy: FaultProxy) => void): Promise<() => Promise<void>> => {
    for (const { proxy } of tracked) change(proxy);
    return async () => {
      for (const { proxy } of tracked) proxy.restore();
    };
  };
  const of = (broker: Broker): FaultProxy => tracked.find((one) => one.broker === broker)!.proxy;
  return {
    broker: 'nats',
    create,
    shortLease: { lease: SHORT_LEASE },
    isolate: async () => setupOf(await startServer('nats', { version, auth: 'user', quiet: true }), version),
    about: { version: server.version, started: server.started },
    server: {
      raw,
      wipe: () => server.wipe(),
      async cut(broker) {
        if (broker === undefined) return all((proxy) => proxy.cut());
        of(broker).cut();
        return async () => of(broker).restore();
      },
      async crash(broker) {
        of(broker).cut();
      },
      restart: () => server.restart(),
      async pause() {
        await server.pause();
        return () => server.resume();
      },
      blackhole: () => all((proxy) => proxy.blackhole()),
      halfOpen: () => all((proxy) => proxy.halfOpen()),
      slow: (delay) => all((proxy) => proxy.delay(delay)),
      processes: { broker: 'nats', url: server.url },
      nowhere: { create: () => nats({ url: 'nats://127.0.0.1:1' }) },
      restricted: {
        create: () =>
          nats({
            url: `nats://127.0.0.1:${server.port}`,
            user: RESTRICTED.user,
            password: RESTRICTED.password,
          }),
      },
      credentials: {
        createWrong: () => nats({ url: `nats://127.0.0.1:${server.port}`, user: 'ambus', password: 'wrong' }),
        rotate: async () => void (await server.rotate()),
      },
      tls: {
        async createUntrusted() {
          tls ??= startServer('nats', { tls: true, quiet: true });
          return nats({ url: (await tls).url });
        },
      },
      cluster: {
        async create() {
          const { nodes } = await theCluster();
          return nats({ servers: nodes.map(({ url }) => url), stream: { replicas: 3 } });
        },
        async stopOne() {
          const { nodes } = await theCluster();
          await nodes[1]!.kill9();
          return () => nodes[1]!.start();
        },
      },
    },
    async close() {
      await raw.close().catch(() => {});
      await server.close();
    },
  };
}

let tls: Promise<Server> | undefined;
let cluster: Promise<Server> | undefined;

function theCluster(): Promise<Server> {
  cluster ??= startServer('nats', { cluster: 3, quiet: true });
  return cluster;
}

/** @param version - of the server, and of those that cases start for themselves */
export async function natsSetup(version?: Version): Promise<IsolatedSetup> {
  return setupOf(await startServer('nats', { version, auth: 'user', users: [RESTRICTED] }), version);
}

/**
 * The suite's setup for three nodes of a cluster, and every stream on all of them. There is no proxy: the nodes tell each
 * client where the others are. What happens to the server happens to all nodes at once; `natsSetup` has the case in which
 * one of them goes.
 */
export async function clusterSetup(quiet = false): Promise<IsolatedSetup> {
  const server = await startServer('nats', { cluster: 3, quiet });
  const urls = server.nodes.map(({ url }) => url);
  const raw = rawClient(() => server.url);
  return {
    broker: 'nats',
    create: (options) => nats({ servers: urls, stream: { replicas: 3 }, ...options }),
    isolate: () => clusterSetup(true),
    shortLease: { lease: SHORT_LEASE },
    // A leader may be elected in between.
    patience: 20_000,
    about: { version: server.version, started: `${server.started}, 3 nodes` },
    server: {
      raw,
      wipe: () => server.wipe(),
      restart: () => server.restart(),
      async pause() {
        await server.pause();
        return () => server.resume();
      },
      processes: { broker: 'nats', url: urls.join(',') },
    },
    async close() {
      await raw.close().catch(() => {});
      await server.close();
    },
  };
}
