import { connect, type Socket } from 'node:net';
import type { ProxyMode } from './fault-proxy.ts';
import { pipe } from './pipe.ts';

/** A client's connection and the one to the server that belongs to it. */
export interface Pair {
  set(mode: ProxyMode): void;
  destroy(): void;
}

export function connectPair(
  client: Socket,
  target: { readonly host: string; readonly port: number },
  first: ProxyMode,
  gone: () => void,
): Pair {
  // What is opened in a fault has no server's side: nobody is there to accept it.
  const server =
    first.kind === 'pass'
      ? connect({ host: target.host, port: target.port, noDelay: true, allowHalfOpen: true })
      : undefined;
  const pipes = server === undefined ? [] : [pipe(client, server), pipe(server, client)];
  let mode = first;

  function destroy(): void {
    client.resetAndDestroy();
    server?.resetAndDestroy();
    gone();
  }
  function set(next: ProxyMode): void {
    mode = next;
    const lost = server === undefined || server.destroyed;
    if (next.kind === 'cut' || (next.kind === 'pass' && lost)) {
      destroy();
      return;
    }
    for (const one of pipes) one.set(next);
    if (next.kind === 'half-open') server?.destroy();
    if (lost) client.resume();
  }

  client.unref();
  client.on('error', () => {});
  client.on('close', (failed) => {
    // In a blackhole the server does not hear that its client has gone.
    if (mode.kind === 'blackhole') return;
    if (failed) server?.resetAndDestroy();
    gone();
  });
  server?.unref();
  server?.on('error', () => {});
  server?.on('close', (failed) => {
    if (failed && mode.kind === 'pass') destroy();
  });
  if (server === undefined) client.resume();
  set(first);
  return { set, destroy };
}
