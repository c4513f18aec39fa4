import { ConnectionError } from '@ambus/core';
import type { NodePlan } from './kind.ts';
import type { Machine } from './process/machine.ts';
import { until } from './process/until.ts';
import { type FaultProxy, faultProxy } from './proxy/fault-proxy.ts';
import type { ServerNode } from './types.ts';

/** Milliseconds that a server gets to serve; a cold Java on a busy computer takes most of it. */
const PATIENCE = 120_000;
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
  async function start(): Promise<void> {
    checkOpen();
    await machine.start();
    try {
      await until(plan.ready, PATIENCE, async () => {
        if (!(await machine.alive())) throw new ConnectionError(`${plan.program} has ended`);
      });
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
