import { ConfigError, ConnectionError } from '@ambus/core';
import type { Kind, NodePlan, ServerPlan } from './kind.ts';
import { serverNode } from './node.ts';
import type { Machine } from './process/machine.ts';
import { type FaultProxy, faultProxy } from './proxy/fault-proxy.ts';
import type { Server, ServerNode, ServerPowers, ServerWay } from './types.ts';

type MakeMachine = (plan: NodePlan) => Promise<Machine>;

/** Runs what a plan says. When that fails, nothing of it is left. */
export async function runPlan(
  kind: Kind<never>,
  plan: ServerPlan,
  started: ServerWay,
  makeMachine: MakeMachine,
): Promise<Server> {
  const proxies = new Set<FaultProxy>();
  const machines = new Map<NodePlan, Machine>();
  const all = [...plan.nodes, ...(plan.sentinels ?? [])];
  let isClosed = false;
  const close = async () => {
    isClosed = true;
    await Promise.all([...proxies].map((proxy) => proxy.close()));
    await Promise.all([...machines.values()].map((machine) => machine.remove()));
  };
  const checkOpen = () => {
    if (isClosed) throw new ConfigError(`the ${kind.name} server was closed, and its data are gone`);
  };
  try {
    const nodes: ServerNode[] = [];
    for (const one of all) {
      const machine = await makeMachine(one);
      machines.set(one, machine);
      nodes.push(serverNode(one, machine, proxies, checkOpen));
    }
    const servers = nodes.slice(0, plan.nodes.length);
    const sentinels = nodes.slice(plan.nodes.length);
    await Promise.all(servers.map((node) => node.start()));
    await plan.assemble?.();
    await Promise.all(sentinels.map((node) => node.start()));
    await plan.settled?.();
    const version = await plan.version();
    let credentials = plan.credentials ?? {};
    const [first] = servers as [ServerNode];
    return {
      kind: kind.name,
      started,
      version,
      get url() {
        return first.url;
      },
      host: first.host,
      port: first.port,
      nodes: servers,
      sentinels,
      get credentials() {
        return credentials;
      },
      tls: plan.tls,
      ...powersOfAll(nodes, plan.settled),
      proxy: first.proxy,
      wipe: plan.wipe,
      async rotate() {
        if (plan.rotate === undefined || Object.keys(credentials).length === 0) {
          throw new ConfigError(`${kind.name} was started without credentials that can be rotated`);
        }
        await Promise.all(all.map(mustAnswer));
        credentials = await plan.rotate(async (files, signal) => {
          for (const machine of machines.values()) {
            await machine.write(files);
            if (signal !== undefined) await machine.signal(signal);
          }
        });
        return credentials;
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A node that does not hear of new credentials would be left with others than those that clients are told. */
async function mustAnswer({ name, port, ready }: NodePlan): Promise<void> {
  await ready().catch((cause: Error) => {
    throw new ConnectionError(
      `credentials are rotated only while every node serves, and ${name} at port ${port} does not answer: ${cause.message}`,
      { cause },
    );
  });
}

function powersOfAll(
  nodes: readonly ServerNode[],
  settled: () => Promise<void> = async () => {},
): Omit<ServerPowers, 'proxy'> {
  const each = async (act: (node: ServerNode) => Promise<unknown>) => {
    await Promise.all(nodes.map(act));
  };
  const kill9 = () => each((node) => node.kill9());
  const start = async () => {
    await each((node) => node.start());
    await settled();
  };
  return {
    start,
    kill9,
    stop: () => each((node) => node.stop()),
    // All are down before one comes up: a cluster that loses one after the other keeps its state in the others.
    async restart() {
      await kill9();
      await start();
    },
    pause: () => each((node) => node.pause()),
    resume: () => each((node) => node.resume()),
    signal: (signal) => each((node) => node.signal(signal)),
    log: async () => (await Promise.all(nodes.map((node) => node.log()))).join(''),
  };
}

/** Somebody else's server: it can be used, emptied and proxied, and nothing more. */
export async function attachServer(kind: Kind<never>, address: string): Promise<Server> {
  const plan = kind.attach(address);
  const { url, host, port } = plan;
  const proxies = new Set<FaultProxy>();
  const close = async () => {
    await Promise.all([...proxies].map((proxy) => proxy.close()));
  };
  const refuse = async (): Promise<never> => {
    throw new ConfigError(
      `the ${kind.name} server of ${kind.variable} is not ours to stop, pause or change: unset ${kind.variable}`,
    );
  };
  return {
    kind: kind.name,
    started: 'url',
    version: await plan.version(),
    url,
    host,
    port,
    nodes: [],
    sentinels: [],
    credentials: plan.credentials ?? {},
    tls: undefined,
    start: refuse,
    stop: refuse,
    kill9: refuse,
    restart: refuse,
    pause: refuse,
    resume: refuse,
    signal: refuse,
    log: refuse,
    rotate: refuse,
    wipe: plan.wipe,
    async proxy() {
      const proxy = await faultProxy({ host, port, url });
      proxies.add(proxy);
      return proxy;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
