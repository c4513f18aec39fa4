import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Server } from '../../src/index.ts';
import { natsSession } from '../../src/servers/nats/session.ts';
import { redisCommands } from '../../src/servers/redis/resp.ts';

type Place = Pick<Server, 'host' | 'port'> & Partial<Pick<Server, 'credentials' | 'tls'>>;

/** One Redis command, answered. */
export async function redis(server: Place, ...command: string[]): Promise<string> {
  const { host, port, credentials = {}, tls } = server;
  const [answer = ''] = await redisCommands({ host, port, tls: tls !== undefined, ...tls, credentials }, [
    command,
  ]);
  return answer;
}

/** One call of JetStream's API on a server that lets everybody in. */
export function jetStream(
  { host, port }: Place,
  subject: string,
  request: object = {},
): Promise<Record<string, unknown>> {
  return natsSession({ host, port, answer: () => ({}) }, (session) => session.jetStream(subject, request));
}

/** The addresses of this computer, other than loopback, that accept a connection at `port`. */
export async function reachableFrom(port: number): Promise<string[]> {
  const addresses = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
  const open = await Promise.all(addresses.map((host) => opens(host, port)));
  return addresses.filter((_, index) => open[index]);
}

/** Whether something accepts connections there. */
export function opens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

export const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
