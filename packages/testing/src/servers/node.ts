import { ConnectionError } from '@ambus/core';
import type { NodePlan } from './kind.ts';
import { connectOnce } from './process/connect-once.ts';
import type { Machine } from './process/machine.ts';
import { until } from './process/until.ts';
import { type FaultProxy, faultProxy } from './proxy/fault-proxy.ts';
import type { ServerNode } from './types.ts';

/** Milliseconds that a server gets to serve; a cold Java on a busy computer takes most of it. */
const PATIENCE = 120_000;
/** Milliseconds after which a port that still answers is not that of a process which has just ended. */
const RELEASED = 1_000;
/** Characters of a server's log that an error shows. */
const SHOWN = 4_000;

/**
 * A node with its machine; closing its proxies is left to the server.
 *
 * @param checkOpen - throws where the server was closed
 */
export function serverNode(
  plan: NodePlan,
  machine: Machine,
  proxies: Set<FaultProxy>,
  checkOpen: () => void,
): ServerNode {
  async function mustLive(): Promise<void> {
    if (!(await machine.alive())) throw new ConnectionError(`${plan.program} has ended`);
  }

  async function start(): Promise<void> {
    checkOpen();
    if (!(await machine.alive())) {
      await Promise.all(plan.ports.map((port) => until(() => mustBeFree(port, plan.program), RELEASED)));
    }
    await machine.start();
    try {
      await until(plan.ready, PATIENCE, mustLive);
      // Who answered may be another program that took the port after all.
      await mustLive();
    } catch (error) {
      const log = (await machine.log()).trim().slice(-SHOWN);
      throw new ConnectionError(`${plan.program} does not serve at port ${plan.port}; its log:\n${log}`, {
        cause: error,
      });
    }
  }
  const kill9 = () => machine.signal('SIGKILL');
  return {
    name: plan.name,
    get url() {
      return plan.url();
    },
    host: '127.0.0.1',
    port: plan.port,
    get pid() {
      return machine.pid;
    },
    start,
    kill9,
    stop: () => machine.signal('SIGTERM'),
    async restart() {
      await kill9();
      await start();
    },
    pause: machine.pause,
    resume: machine.resume,
    signal: machine.signal,
    log: machine.log,
    async proxy() {
      const proxy = await faultProxy({ host: '127.0.0.1', port: plan.port, url: plan.url() });
      proxies.add(proxy);
      return proxy;
    },
  };
}

/** Found out by connecting: a port whose last connections still wait for their end cannot be bound by everybody. */
async function mustBeFree(port: number, program: string): Promise<void> {
  const isTaken = await connectOnce({ host: '127.0.0.1', port }).then(
    () => true,
    () => false,
  );
  if (isTaken) {
    throw new ConnectionError(`${program} cannot start: port ${port} is already in use by another program`);
  }
}
