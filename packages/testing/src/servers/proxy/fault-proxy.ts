import { createServer, type Socket } from 'node:net';
import { check } from '@ambus/core';
import { freePort, handBack } from '../process/ports.ts';
import { connectPair, type Pair } from './pair.ts';
import { withAddress } from './with-address.ts';

/** What a proxy does to all that passes. */
export type ProxyMode =
  | { readonly kind: 'pass'; readonly delay: number }
  | { readonly kind: 'blackhole' | 'half-open' | 'cut' };

/** A TCP proxy before a server, with faults. Connections through it keep their bytes and their order. */
export interface FaultProxy extends AsyncDisposable {
  /** What it listens on: `127.0.0.1`. */
  readonly host: string;
  /** A free one, chosen for it. */
  readonly port: number;
  /** The server's url with the proxy's address. */
  readonly url: string;
  /** Connections that are open now. */
  readonly connections: number;
  /** Drops all connections, and every new one at once, until `restore`. */
  cut(): void;
  /** Drops all connections now; new ones pass. */
  drop(): void;
  /**
   * Everything takes so many milliseconds longer, each way: a whole number, which a timer can wait (24 days at most).
   *
   * @throws {ValidationError} for anything else
   */
  delay(milliseconds: number): void;
  /** Connections stay open and nothing passes, either way; after `restore` what was held back goes on. */
  blackhole(): void;
  /** The server's side is closed and the client is not told, as when the server's machine vanished. */
  halfOpen(): void;
  /** Ends every fault. Connections of which the server's side is gone are dropped. */
  restore(): void;
  /** Drops all connections and takes no more. */
  close(): Promise<void>;
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly url: string;
}

const SPEC: check.Spec<Target> = {
  host: check.text(),
  port: check.integer(1, 65_535),
  url: check.text(64 * 1024),
};
const DELAY = check.integer(0, 2 ** 31 - 1, 'milliseconds');

/**
 * Starts a proxy to `host:port`.
 *
 * @throws {ValidationError} when something of the target is missing or wrong
 * @throws {ConfigError} when it is Azure Service Bus, and not its emulator
 */
export async function faultProxy(target: Target): Promise<FaultProxy> {
  check.checkArgument('what faultProxy is given', target, check.object);
  for (const name of ['host', 'port', 'url'] as const) {
    check.checkArgument(`faultProxy "${name}"`, target[name], SPEC[name]);
  }
  const port = await freePort('proxy');
  const url = withAddress(target.url, `127.0.0.1:${port}`);
  const pairs = new Set<Pair>();
  let mode: ProxyMode = { kind: 'pass', delay: 0 };

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client: Socket) => {
    if (mode.kind === 'cut') {
      client.resetAndDestroy();
      return;
    }
    const pair = connectPair(client, target, mode, () => pairs.delete(pair));
    pairs.add(pair);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  server.unref();

  function set(next: ProxyMode): void {
    mode = next;
    for (const pair of pairs) pair.set(next);
  }
  const drop = () => {
    for (const pair of [...pairs]) pair.destroy();
  };

  async function close(): Promise<void> {
    drop();
    if (!server.listening) return;
    await new Promise((resolve) => server.close(resolve));
    handBack(port);
  }

  return {
    host: '127.0.0.1',
    port,
    url,
    get connections() {
      return pairs.size;
    },
    cut: () => set({ kind: 'cut' }),
    drop,
    delay(milliseconds) {
      check.checkArgument('delay', milliseconds, DELAY);
      set({ kind: 'pass', delay: milliseconds });
    },
    blackhole: () => set({ kind: 'blackhole' }),
    halfOpen: () => set({ kind: 'half-open' }),
    restore: () => set({ kind: 'pass', delay: 0 }),
    close,
    [Symbol.asyncDispose]: close,
  };
}
