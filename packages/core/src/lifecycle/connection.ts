import type { Broker, BrokerHost } from '../broker.ts';
import { asBusError, ClosedError } from '../errors.ts';

/** Far enough apart to cost nothing; the timer is there to exist. */
const KEEP_ALIVE = 2 ** 30;

/**
 * Connects the broker with the first use, once, and keeps the process alive while it is connected, as a socket would:
 * a program must behave the same on a broker that has none.
 */
export class Connection {
  readonly #broker: Broker;
  readonly #host: BrokerHost;
  #connected: Promise<void> | undefined;
  #isReady = false;
  #closed = false;
  #keepAlive: NodeJS.Timeout | undefined;
  readonly #onConnected: () => void;

  constructor(broker: Broker, host: BrokerHost, onConnected: () => void) {
    this.#broker = broker;
    this.#host = host;
    this.#onConnected = onConnected;
  }

  /** Whether nothing needs to be waited for. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when connected. A failed try is forgotten, so the next use tries again. */
  ready(): Promise<void> {
    if (this.#closed)
      return Promise.reject(new ClosedError('the bus is closed', { broker: this.#broker.name }));
    this.#connected ??= this.#connect();
    return this.#connected;
  }

  async #connect(): Promise<void> {
    this.#keepAlive = setInterval(() => {}, KEEP_ALIVE);
    try {
      await this.#broker.connect(this.#host);
    } catch (error) {
      this.#release();
      this.#connected = undefined;
      if (this.#closed) throw this.#closedMeanwhile(error);
      throw asBusError(error, { broker: this.#broker.name });
    }
    if (this.#closed) {
      throw this.#closedMeanwhile(undefined);
    }
    this.#isReady = true;
    this.#onConnected();
  }

  #closedMeanwhile(cause: unknown): ClosedError {
    return new ClosedError('the bus was closed while it was connecting', {
      broker: this.#broker.name,
      cause,
    });
  }

  /** No use from here on. */
  shut(): void {
    this.#closed = true;
    this.#isReady = false;
  }

  /** Disconnects, also while connecting. */
  async close(): Promise<void> {
    this.shut();
    try {
      await this.#broker.close();
      await this.#connected?.catch(() => {});
    } finally {
      this.#release();
    }
  }

  #release(): void {
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }
}
