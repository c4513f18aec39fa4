import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { ConnectionError } from '@ambus/core';

/**
 * Below every system's range for outgoing connections. Out of that range a restarted server could find its port taken by
 * a client, and a client that reconnects to a dead server's port could meet itself. Proxies, of which there are many and
 * which are all up at once, have a range of their own: another process's could take the port of a server that is down.
 */
const RANGES = { proxy: [10_000, 19_999], server: [20_000, 31_999] } as const;

/** Ports that are looked at before there is none: with one in a hundred free it is found all the same. */
const LOOKS = 2_000;

const given = new Set<number>();

/**
 * A loopback port that is free now, and given to nobody else in this process until it is handed back.
 *
 * @throws {ConnectionError} when there is none
 */
export async function freePort(use: keyof typeof RANGES = 'server'): Promise<number> {
  const [first, last] = RANGES[use];
  for (let look = 0; look < LOOKS; look++) {
    const port = randomInt(first, last + 1);
    if (given.has(port)) continue;
    // Before it is known to be free: another call must not find the same one meanwhile.
    given.add(port);
    if (await isFree(port)) return port;
    given.delete(port);
  }
  throw new ConnectionError(`no port from ${first} to ${last} is free`);
}

/** Nobody uses it any more. */
export function handBack(port: number): void {
  given.delete(port);
}

/** So many free ports for servers. */
export const freePorts = async (count: number): Promise<number[]> => {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
};

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
