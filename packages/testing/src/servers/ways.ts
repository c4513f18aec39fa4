import { join } from 'node:path';
import { ConfigError } from '@ambus/core';
import { dockerMachines } from './docker/machine.ts';
import type { Kind } from './kind.ts';
import { workDirectory } from './process/guard.ts';
import { localMachine } from './process/local-machine.ts';
import { attachServer, runPlan } from './server.ts';
import type { CommonServerOptions, Server, ServerWay } from './types.ts';

/** How often a start is tried again with other ports when somebody took one meanwhile. */
const TRIES = 3;

let count = 0;

/** The ways to a server, in the order in which they are tried. Each rejects with the reason why it cannot be gone. */
export const WAYS: Readonly<
  Record<ServerWay, <O extends CommonServerOptions>(kind: Kind<O>, options: O) => Promise<Server>>
> = {
  async url(kind) {
    const address = process.env[kind.variable];
    if (!address) throw new ConfigError(`${kind.variable} is not set`);
    return attachServer(kind, address);
  },
  async docker(kind, options) {
    const image = kind.image(options);
    if (image === undefined)
      throw new ConfigError(`these options of ${kind.name} need processes of this computer`);
    const machines = await dockerMachines(image);
    return withPorts(async () => runPlan(kind, await kind.plan(options, '0.0.0.0'), 'docker', machines));
  },
  async native(kind, options) {
    if (process.platform === 'win32') throw new ConfigError('servers run natively on Linux and macOS only');
    const programs = await kind.native(options);
    return withPorts(async () => {
      const place = join(workDirectory(), `${kind.name}-${++count}`);
      return runPlan(kind, await kind.plan(options, '127.0.0.1'), 'native', async (node) => {
        const { command, env } = programs(node.program, node.args);
        return localMachine({
          command,
          env: { ...env, ...node.env },
          directory: join(place, node.name),
          files: node.files,
        });
      });
    });
  },
};

async function withPorts(start: () => Promise<Server>): Promise<Server> {
  for (let tries = 1; ; tries++) {
    try {
      return await start();
    } catch (error) {
      const taken = /already in use|already allocated|EADDRINUSE/i.test((error as Error).message);
      if (!taken || tries === TRIES) throw error;
    }
  }
}
