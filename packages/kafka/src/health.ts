import { BusError, ConfigError, ConnectionError } from '@ambus/core';
import { type Cluster, wait } from './driver/cluster.ts';

/** Milliseconds between signs of life asked of the server, so that a silent connection is noticed. */
const PING = 2_000;
const BACKOFF = 50;
const LONGEST_BACKOFF = 1_000;
/** Milliseconds that the parts of a bus may take to stand again before the bus says that it does. */
const RESTORE = 5_000;

/** Who hears of the connection. */
export interface HealthHost {
  disconnected(error: BusError): void;
  /** The server answers again; resolves when everything stands again. */
  restored(): Promise<unknown>;
  reconnected(): void;
}

/** Whether the servers answer: asked all the time, and asked again until they do. */
export class Health {
  readonly #cluster: Cluster;
  readonly #requestTimeout: number;
  readonly #host: HealthHost;
  #up = false;
  #closed = false;
  #ping: NodeJS.Timeout | undefined;

  /** @param requestTimeout - milliseconds that a server may take to answer */
  constructor(cluster: Cluster, requestTimeout: number, host: HealthHost) {
    this.#cluster = cluster;
    this.#requestTimeout = requestTimeout;
    this.#host = host;
  }

  get up(): boolean {
    return this.#up && !this.#closed;
  }

  /**
   * @param limit - milliseconds
   * @throws {ConnectionError} when no server answers within them
   */
  async connect(limit: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new ConnectionError(`no Kafka server answered within ${limit} ms`, { broker: 'kafka' })),
        limit,
      );
    });
    try {
      await Promise.race([this.#cluster.metadata([]), late]);
    } catch (error) {
      this.#cluster.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    this.#up = true;
    this.#ping = setInterval(() => this.#look(), PING).unref();
  }

  broken(error: BusError): void {
    if (!this.up) return;
    this.#up = false;
    this.#host.disconnected(error);
    void this.#heal();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ping);
  }

  #look(): void {
    if (this.#up) this.#cluster.metadata([]).catch((error: unknown) => this.broken(error as BusError));
  }

  async #heal(): Promise<void> {
    this.#cluster.forget();
    for (let failures = 0; !this.#closed; failures++) {
      await wait(Math.min(LONGEST_BACKOFF, BACKOFF * 2 ** failures) * (0.5 + Math.random() / 2));
      try {
        await this.#cluster.metadata([], this.#requestTimeout);
        break;
      } catch (error) {
        if (BusError.is(error) && ConfigError.is(error)) return;
      }
    }
    if (this.#closed) return;
    this.#up = true;
    await Promise.race([this.#host.restored(), wait(RESTORE)]);
    if (this.up) this.#host.reconnected();
  }
}
