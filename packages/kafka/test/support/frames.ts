import { connect, createServer, type Socket } from 'node:net';
import type { KafkaOptions } from '../../src/index.ts';

/** Where a connection breaks: before a request gets to the server, or before its answer gets back. */
export type Side = 'request' | 'answer';

/** A way to a server that breaks at a chosen request. */
export interface Breaking {
  readonly options: KafkaOptions;
  /** Whether it has broken. */
  readonly broken: boolean;
  /**
   * Breaks all connections at the next request with this key.
   *
   * @param forever - whether no new one passes after that
   */
  at(key: number, side: Side, forever: boolean): void;
  /** Lets new connections pass again. */
  restore(): void;
  close(): Promise<void>;
}

/** Every request is its length, its key and the rest. */
export async function breaking(server: { readonly host: string; readonly port: number }): Promise<Breaking> {
  const clients = new Set<Socket>();
  let armed: { key: number; side: Side; forever: boolean } | undefined;
  let gone = false;
  let broken = false;

  const fall = (): void => {
    gone = armed?.forever === true;
    armed = undefined;
    broken = true;
    for (const client of clients) client.destroy();
  };
  const listener = createServer((client) => {
    if (gone) {
      client.destroy();
      return;
    }
    clients.add(client);
    const upstream = connect(server.port, server.host);
    let held = Buffer.alloc(0);
    let answering = false;
    client.on('data', (data) => {
      held = Buffer.concat([held, data as Buffer]);
      while (held.length >= 6 && held.length >= held.readInt32BE(0) + 4) {
        const length = held.readInt32BE(0) + 4;
        if (armed?.key === held.readInt16BE(4)) {
          if (armed.side === 'request') {
            fall();
            return;
          }
          answering = true;
        }
        upstream.write(held.subarray(0, length));
        held = held.subarray(length);
      }
    });
    upstream.on('data', (data) => {
      if (answering && armed !== undefined) fall();
      else client.write(data);
    });
    const end = (): void => {
      clients.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on('close', end).on('error', end);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address() as { port: number };
  return {
    options: {
      brokers: `${server.host}:${server.port}`,
      socketFactory: ({ onConnect }) => connect(port, '127.0.0.1', onConnect),
    },
    get broken() {
      return broken;
    },
    at(key, side, forever) {
      armed = { key, side, forever };
    },
    restore() {
      gone = false;
    },
    async close() {
      gone = true;
      for (const client of clients) client.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
