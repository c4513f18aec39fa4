import { type BusError, ConnectionError } from '@ambus/core';
import { Reader, Writer } from './bytes.ts';
import { driverError } from './errors.ts';
import { authenticate, type Client, type DriverConnection, newConnection } from './kafkajs.ts';
import type { Request } from './request.ts';

/** One connection to one server. It is not mended: when it breaks, another is opened. */
export class Link {
  readonly host: string;
  readonly port: number;
  readonly #connection: DriverConnection;
  readonly #requestTimeout: number;
  #closed: BusError | undefined;
  #silent = false;
  #answered = false;
  #onClosed: ((error: BusError) => void) | undefined;

  private constructor(client: Client, connection: DriverConnection, host: string, port: number) {
    this.host = host;
    this.port = port;
    this.#connection = connection;
    this.#requestTimeout = client.requestTimeout;
  }

  /** @throws {ConnectionError} when nobody answers in time, or the credentials are refused */
  static async open(client: Client, host: string, port: number): Promise<Link> {
    const connection = connectionTo(client, host, port);
    const link = new Link(client, connection, host, port);
    let connected = false;
    try {
      await connection.connect();
      connected = true;
      connection.socket.once('error', (error) => {
        // A server that refuses our certificate says so when the connection already stands; later it only broke.
        link.#end(link.#answered ? broken(host, port) : driverError(error, `connecting to ${host}:${port}`));
      });
      connection.socket.once('close', () => link.#end(broken(host, port)));
      await authenticate(connection, client);
    } catch (error) {
      const failure = link.#closed ?? driverError(error, `connecting to ${host}:${port}`, connected);
      link.#end(failure);
      throw failure;
    }
    return link;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Whether it was given up because no answer came: then other connections to the server may hang, too. */
  get silent(): boolean {
    return this.#silent;
  }

  /** Called once when the connection ends, however it does. */
  onClosed(listener: (error: BusError) => void): void {
    this.#onClosed = listener;
  }

  /**
   * The request is written to the socket in the third microtask after this call.
   *
   * @param timeout - milliseconds beyond what the server may hold the answer back
   */
  async send<T>(request: Request<T>, timeout: number = this.#requestTimeout): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed;
    const limit = (request.hold ?? 0) + timeout;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // Answers come in order: behind one that does not come nothing else will.
        const error = new ConnectionError(
          `${this.host}:${this.port} did not answer ${request.name} within ${limit} ms`,
          { broker: 'kafka' },
        );
        // Who waits less than a server may take has learnt nothing of the server.
        if (timeout >= this.#requestTimeout) {
          this.#silent = true;
          this.#end(error);
        }
        reject(error);
      }, limit);
    });
    const answer = this.#connection.send<T>({
      request: {
        apiKey: request.key,
        apiVersion: request.version,
        apiName: request.name,
        async encode() {
          const writer = new Writer();
          request.write(writer);
          return writer;
        },
      },
      response: {
        decode: async (raw) => request.read(new Reader(raw)),
        parse: async (decoded) => decoded,
      },
      // Ours is above; the driver's own must not come first.
      requestTimeout: limit + 60_000,
      logResponseError: false,
    });
    try {
      const found = await Promise.race([answer, late]);
      this.#answered = true;
      return found;
    } catch (error) {
      throw this.#closed ?? driverError(error, `${request.name} to ${this.host}:${this.port}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param reason - what its open requests fail with */
  close(reason: BusError = new ConnectionError('the connection was closed', { broker: 'kafka' })): void {
    this.#end(reason);
  }

  #end(error: BusError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#connection.rejectRequests(error);
    this.#connection.disconnect().catch(() => {});
    this.#connection.socket?.destroy();
    this.#onClosed?.(error);
  }
}

/** Asks for the credentials, too, which may not be at hand. */
function connectionTo(client: Client, host: string, port: number): DriverConnection {
  try {
    return newConnection(client, host, port);
  } catch (error) {
    throw driverError(error, `connecting to ${host}:${port}`);
  }
}

function broken(host: string, port: number): ConnectionError {
  return new ConnectionError(`the connection to ${host}:${port} broke`, { broker: 'kafka' });
}
