import type { Broker } from '@ambus/core';
import type { Case, Chapter, Power } from './case.ts';

/** What a broker package gives to run the suite. About 20 lines for most. */
export interface ConformanceSetup {
  /** The broker's name, as in its `Broker.name`. */
  readonly broker: string;
  /**
   * The form of the server, where there are several: `cluster`, `valkey`. Each is reported by itself. What this setup has no
   * control for is left out, since the setup without a variant shows it.
   */
  readonly variant?: string;
  /** Only these chapters: for a variant that could differ in some. Default: all. */
  readonly chapters?: readonly Chapter[];
  /**
   * Makes a broker for one bus, all of them on the same server.
   *
   * @param overrides - options of the broker's own factory, for a case that only it has
   */
  create(overrides?: object): Broker | Promise<Broker>;
  /** What can be done to the server. Left out: nothing, and the cases that need it are reported so. */
  readonly server?: ServerControl;
  /**
   * A setup with a server of its own, for a case that does to it what others would feel. Left out: such cases are reported
   * as "needs a server".
   */
  isolate?(): IsolatedSetup | Promise<IsolatedSetup>;
  /**
   * Options for `create` with which a lease is as short as the broker allows, for the cases in which a consumer dies. Left
   * out: they wait for the usual one.
   */
  readonly shortLease?: object;
  /** Cases that only this broker has. */
  readonly additional?: readonly Case[];
  /**
   * Options for `create` with which `limits.maxNativeDelay` is 2 seconds or less: lets the suite see a longer delay through
   * where the real maximum is minutes or days.
   */
  readonly shortDelay?: object;
  /** Milliseconds that a condition may take to come true where a case does not say. Default 10,000; with more, cases may also take longer as a whole. */
  readonly patience?: number;
  /** For the report: version of the server and how it was started. */
  readonly about?: { readonly version: string; readonly started: string };
}

/** A setup for one case. */
export interface IsolatedSetup extends ConformanceSetup {
  /** Ends its server. Called when the case is over. */
  close?(): Promise<void>;
}

/** Control over the real server, a method for each power; a launcher offers what it can. */
export interface ServerControl {
  /** The server loses all of its state while it runs: FLUSHALL, an emptied emulator. */
  wipe?(): Promise<void>;
  /** Cuts every connection of one bus, or of all; the returned function lets them come back. */
  cut?(broker?: Broker): Promise<() => Promise<void>>;
  /** Makes this broker's process vanish without a word, as kill -9 would. */
  crash?(broker: Broker): Promise<void>;
  /** The server's own client, to read what the bus wrote and to write what the bus is to read. */
  readonly raw?: RawClient;
  /** Kills the server without warning and starts it again on the same port and data. */
  restart?(): Promise<void>;
  /** Stops the server's process (SIGSTOP); the returned function lets it go on. */
  pause?(): Promise<() => Promise<void>>;
  /** Connections stay open, and nothing passes any more; the returned function ends it. */
  blackhole?(): Promise<() => Promise<void>>;
  /** The server's side of each connection is closed and nobody tells; new ones lead nowhere. The returned function ends it. */
  halfOpen?(): Promise<() => Promise<void>>;
  /** Delays everything by so many milliseconds; the returned function ends it. */
  slow?(delay: number): Promise<() => Promise<void>>;
  /** A cluster of which one node can be taken down. */
  readonly cluster?: { create(): Broker | Promise<Broker>; stopOne(): Promise<() => Promise<void>> };
  /** How another process makes a bus on the same server: options of `createBus` that survive JSON. */
  readonly processes?: { readonly broker: string; readonly url: string };
  /** A broker with wrong credentials; and new ones while running. */
  readonly credentials?: { createWrong(): Broker | Promise<Broker>; rotate?(): Promise<void> };
  /** A broker that does not trust the server's certificate. */
  readonly tls?: { createUntrusted(): Broker | Promise<Broker> };
  /** A broker whose account may use, but not create. */
  readonly restricted?: { create(): Broker | Promise<Broker> };
  /** A broker whose address nobody listens on. */
  readonly nowhere?: { create(): Broker | Promise<Broker> };
}

/** What the raw client writes, and what it finds on the server. */
export interface RawMessage {
  readonly body: Uint8Array;
  /**
   * The metadata by the names that the wire format has for it where the broker has no names of its own (`ce_id`,
   * `ce_source`, `content-type` …; the client turns them into the broker's own, `ce-id` or `cloudEvents:id`), and the
   * application's headers.
   */
  readonly headers: Readonly<Record<string, string>>;
}

/** The server's own client, as far as all brokers have something like it. It knows the names on the server, not the bus. */
export interface RawClient {
  /**
   * Publishes as a program would that has never heard of the bus.
   *
   * @param prefix - of the bus that is to get it
   * @param topic - as the bus names it
   */
  publish(prefix: string, topic: string, message: RawMessage): Promise<void>;
  /** What lies on a topic, oldest first. */
  read(prefix: string, topic: string): Promise<readonly RawMessage[]>;
}

/** What a report calls it: the broker, and the variant if there is one. */
export function titleOf({ broker, variant }: Pick<ConformanceSetup, 'broker' | 'variant'>): string {
  return variant === undefined ? broker : `${broker}, ${variant}`;
}

/** The powers that a setup has. */
export function powersOf({ server }: ConformanceSetup): ReadonlySet<Power> {
  return new Set(
    Object.entries(server ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [name as Power])),
  );
}
