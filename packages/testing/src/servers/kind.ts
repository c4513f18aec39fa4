import type { CommonServerOptions, ServerCredentials, ServerKind, ServerTls } from './types.ts';

/** A process that a server consists of. Paths in its arguments and files are relative to its own directory. */
export interface NodePlan {
  readonly name: string;
  /** With the credentials of the moment, where urls of its kind hold them. */
  url(): string;
  readonly port: number;
  /** All ports that it listens on. */
  readonly ports: readonly number[];
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  /** Rejects as long as it does not serve. */
  ready(): Promise<unknown>;
}

/** A whole server, ready to be started. */
export interface ServerPlan {
  readonly nodes: readonly NodePlan[];
  readonly sentinels?: readonly NodePlan[];
  readonly tls?: ServerTls;
  readonly credentials?: ServerCredentials;
  /** What is to be done once when all nodes run: joining a cluster. */
  assemble?(): Promise<void>;
  /** Resolves when the nodes that were all started have found each other again. */
  settled?(): Promise<void>;
  version(): Promise<string>;
  wipe(): Promise<void>;
  /** @param change - replaces files of every node, and then sends it a signal where one is given */
  rotate?(
    change: (files: Readonly<Record<string, string>>, signal?: NodeJS.Signals) => Promise<void>,
  ): Promise<ServerCredentials>;
}

/** A server's programs on this computer: the command that runs one of them. */
export type NativePrograms = (
  program: string,
  args: readonly string[],
) => { readonly command: readonly string[]; readonly env?: Readonly<Record<string, string>> };

/** What the launcher knows about one kind of server. */
export interface Kind<O extends CommonServerOptions> {
  readonly name: ServerKind;
  /** Environment variable with the address of somebody's own server. */
  readonly variable: string;
  /** The server at the address of the environment. */
  attach(address: string): Omit<ServerPlan, 'nodes'> & {
    readonly url: string;
    readonly host: string;
    readonly port: number;
  };
  /** Refuses options that do not exist or do not go together. */
  check(options: O): void;
  /** @param host - what to listen on: loopback here, everything inside a container */
  plan(options: O, host: string): Promise<ServerPlan>;
  /** Installs it in the cache where it is not there yet. */
  native(options: O): Promise<NativePrograms>;
  /** The image for a container; none where only processes of this computer can do what the options ask for. */
  image(options: O): ContainerImage | undefined;
}

export interface ContainerImage {
  readonly name: string;
  /** What runs a program inside. Default: the program by its name, with its arguments. */
  command?(program: string, args: readonly string[]): string[];
}
