import { createRequire } from 'node:module';
import type { Kafka as KafkaClient, KafkaConfig, Logger, SASLOptions } from 'kafkajs';
import type { Writer } from './bytes.ts';

/**
 * The only file that knows kafkajs. Of it we use the connection: sockets, TLS, SASL and the framing of requests, which
 * it does well. Its producer and consumer are made for one record batch after the other in one order, so what goes
 * through the connection is ours.
 */
const require = createRequire(import.meta.url);

/** A request as the driver's connection wants it. */
interface DriverCall<T> {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<Writer>;
  };
  readonly response: { decode(raw: Buffer): Promise<T>; parse(decoded: T): Promise<T> };
  readonly requestTimeout: number;
  readonly logResponseError: boolean;
}

/** The driver's connection, as far as we use it. */
export interface DriverConnection {
  readonly socket: {
    destroy(): void;
    unref(): void;
    once(event: 'close', listener: () => void): void;
    once(event: 'error', listener: (error: Error) => void): void;
  };
  readonly requestQueue: {
    readonly pending: readonly unknown[];
    readonly throttledUntil: number;
    scheduleCheckPendingRequests(): void;
    checkPendingRequests(): void;
  };
  connect(): Promise<unknown>;
  authenticate(): Promise<void>;
  disconnect(): Promise<unknown>;
  isConnected(): boolean;
  rejectRequests(error: Error): void;
  setVersions(versions: object): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  send<T>(call: DriverCall<T>): Promise<T>;
}

interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly ssl: unknown;
  readonly sasl: unknown;
  readonly logger: Logger;
  readonly socketFactory: unknown;
  readonly requestTimeout: number;
  readonly connectionTimeout: number;
}

const Connection = require('kafkajs/src/network/connection') as new (
  options: ConnectionOptions,
) => DriverConnection;
const defaultSocketFactory = require('kafkajs/src/network/socketFactory') as () => unknown;
const protocols = require('kafkajs/src/protocol/requests') as {
  requests: {
    ApiVersions: {
      protocol(options: { version: number }): () => DriverCall<{ apiVersions: readonly ApiVersion[] }>;
    };
  };
};
const { Kafka, logLevel } = require('kafkajs') as typeof import('kafkajs');

interface ApiVersion {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** What happens on a connection is told by our own errors; the driver's log would say it twice. */
const silent: Logger = {
  info() {},
  error() {},
  warn() {},
  debug() {},
  namespace: () => silent,
  setLogLevel() {},
};

/** How to reach the servers: the driver's own options. */
export type Client = Pick<KafkaConfig, 'clientId' | 'ssl' | 'socketFactory'> & {
  readonly sasl?: SASLOptions | (() => SASLOptions);
  readonly brokers: readonly string[];
  readonly connectionTimeout: number;
  readonly requestTimeout: number;
};

export function newConnection(client: Client, host: string, port: number): DriverConnection {
  const connection = new Connection({
    host,
    port,
    clientId: client.clientId ?? 'ambus',
    ssl: client.ssl === true ? {} : (client.ssl ?? null) || null,
    sasl: credentialsOf(client) ?? null,
    logger: silent,
    socketFactory: client.socketFactory ?? defaultSocketFactory(),
    requestTimeout: client.requestTimeout,
    connectionTimeout: client.connectionTimeout,
  });
  // The driver's own sets a timer of negative length after every answer, also where nothing waits.
  const queue = connection.requestQueue;
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length === 0) return;
    setTimeout(() => queue.checkPendingRequests(), Math.max(1, queue.throttledUntil - Date.now())).unref();
  };
  return connection;
}

/** A copy: the driver writes into it. */
function credentialsOf({ sasl }: Client): SASLOptions | undefined {
  const given = typeof sasl === 'function' ? sasl() : sasl;
  return given && { ...given };
}

/**
 * Logs in, where the client has credentials.
 *
 * The driver's authenticators call whatever goes wrong a failed authentication. What the connection itself has thrown
 * tells a server that refuses from one that went away, so that is what is thrown here.
 */
export async function authenticate(connection: DriverConnection, client: Client): Promise<void> {
  if (client.sasl === undefined) return;
  const call = protocols.requests.ApiVersions.protocol({ version: 1 })();
  const { apiVersions } = await connection.send({ ...call, requestTimeout: client.connectionTimeout });
  connection.setVersions(Object.fromEntries(apiVersions.map((one) => [one.apiKey, one])));
  connection.setSupportAuthenticationProtocol(true);
  let thrown: unknown;
  const { send } = connection;
  connection.send = async (request) => {
    try {
      return (await send.call(connection, { ...request, requestTimeout: client.connectionTimeout })) as never;
    } catch (error) {
      thrown = error;
      throw error;
    }
  };
  try {
    await connection.authenticate();
  } catch (error) {
    throw thrown ?? error;
  } finally {
    connection.send = send;
  }
}

/** The driver's own client with the same options, for what the bus does not offer. */
export function nativeClient(client: Client): KafkaClient {
  const sasl = credentialsOf(client);
  const config = { ...client, sasl, brokers: [...client.brokers], logLevel: logLevel.ERROR };
  return new Kafka(config as KafkaConfig);
}
