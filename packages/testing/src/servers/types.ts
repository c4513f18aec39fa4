import type { FaultProxy } from './proxy/fault-proxy.ts';

/** A server that `startServer` knows; `sqs` has SNS, too, and `servicebus` is only attached to. */
export type ServerKind = 'redis' | 'nats' | 'kafka' | 'sqs' | 'servicebus' | 'schema-registry';

/** How a server was come by: somebody's own, a container, or a process of this computer. */
export type ServerWay = 'url' | 'docker' | 'native';

/** Options that every kind has. */
export interface CommonServerOptions {
  /**
   * The only way to try, or several, of which the first that works is taken: `['docker', 'native']` is a server of one's
   * own, whatever the environment says. Default: a url from the environment, else Docker, else native. The variable
   * `AMB_SERVER` (`docker` or `native`) chooses among them for the whole run.
   */
  readonly via?: ServerWay | readonly ServerWay[] | undefined;
  /** Does not say on stderr which way was taken. Default false: it is said once for each kind. */
  readonly quiet?: boolean | undefined;
  /** Further arguments of the server's command line. */
  readonly args?: readonly string[] | undefined;
}

/** What a client needs to be let in, made up for this server. */
export interface ServerCredentials {
  readonly user?: string;
  readonly password?: string;
  readonly token?: string;
  /** Seed of an nkey. */
  readonly seed?: string;
  /** Text of a `.creds` file: a JWT and its seed. */
  readonly creds?: string;
}

/** Certificates in PEM, made for this server and valid for 127.0.0.1 and localhost. */
export interface ServerTls {
  /** Of the authority that signed the server's certificate and the client's. */
  readonly ca: string;
  /** A client's, for a server that asks for one. */
  readonly cert: string;
  readonly key: string;
}

/** What can be done to a process, or to all processes of a server. */
export interface ServerPowers {
  /**
   * Runs it again after `stop` or `kill9`, on the same port and data, and waits until it serves. Throws a `ConfigError`
   * after `close`, and a `ConnectionError` when another program has taken its port or it does not serve.
   */
  start(): Promise<void>;
  /** Ends it as its operator would (SIGTERM), and keeps its data. */
  stop(): Promise<void>;
  /** Kills it without warning (SIGKILL), and keeps its data. */
  kill9(): Promise<void>;
  /** `kill9` and `start`. */
  restart(): Promise<void>;
  /** Freezes it (SIGSTOP): connections stay open, and nothing answers until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Sends it a signal: `SIGUSR2` puts NATS into lame-duck mode, `SIGHUP` has it read its configuration. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** What it wrote to its output so far. */
  log(): Promise<string>;
  /** A TCP proxy of its own before it, with faults. Closed together with the server. */
  proxy(): Promise<FaultProxy>;
}

/** One process of a server. */
export interface ServerNode extends ServerPowers {
  /** `n1`, `n2`, … */
  readonly name: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of the process while it runs on this computer. */
  readonly pid: number | undefined;
}

/**
 * A real server. Its powers act on all of its processes; those of a server that came from a url reject with a
 * `ConfigError`, but `wipe` and `proxy`.
 */
export interface Server extends ServerPowers, AsyncDisposable {
  readonly kind: ServerKind;
  readonly started: ServerWay;
  /** As the server itself tells it. */
  readonly version: string;
  /** Of the first node, with credentials where urls of this kind hold them. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Its processes: one, or those of a cluster; none of a server that came from a url. */
  readonly nodes: readonly ServerNode[];
  /** Redis Sentinels, with `sentinels`. */
  readonly sentinels: readonly ServerNode[];
  /** The current ones, with `auth`. */
  readonly credentials: ServerCredentials;
  /** With `tls`. */
  readonly tls: ServerTls | undefined;
  /** Removes all messages, and what keeps track of them, while the server runs. */
  wipe(): Promise<void>;
  /**
   * Replaces the credentials of `auth` while the server runs, and cuts who came in with the old ones. Throws a
   * `ConnectionError` and changes nothing when a node does not answer, and a `ConfigError` without such credentials.
   */
  rotate(): Promise<ServerCredentials>;
  /** Kills the server and removes its data; closes its proxies. */
  close(): Promise<void>;
}
