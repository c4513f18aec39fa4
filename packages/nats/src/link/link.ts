import {
  type BrokerHost,
  type BusError,
  ClosedError,
  ConfigError,
  ConnectionError,
  TimeoutError,
} from '@ambus/core';
import type { Settings } from '../options.ts';
import { statusOf } from '../wire/headers.ts';
import type { Driver, DriverSubscription, Incoming } from './driver.ts';

/** What answers to one request, or to the messages of one batch, are handed to. */
export interface Expecting {
  /** @param index - what was written behind the address, or 0 */
  answer(index: number, message: Incoming): void;
  /** The connection broke: answers may be lost. */
  broken(): void;
}

/** An answer that waits, by the subject that was asked. */
interface Asked {
  readonly subject: string;
  denied(): void;
}

/** Told of the connection's state. */
export interface LinkListener {
  /** The connection broke. */
  down?(): void;
  /** It is back; the driver has subscribed to everything again. */
  up?(): void | Promise<void>;
  /** Once a second, connected or not. */
  tick?(now: number): void;
}

const TICK = 1_000;

/** Milliseconds that something waits for a connection that is down. */
export const PATIENCE = 60_000;

/** One connection: one inbox for all answers, and who is told when it breaks and comes back. */
export class Link {
  readonly driver: Driver;
  readonly host: BrokerHost;
  readonly settings: Settings;
  /** Unique to this connection. */
  readonly inbox: string;
  readonly listeners: Set<LinkListener> = new Set();
  isUp = true;
  closed = false;
  /** Time of the last tick: much longer ago than a tick, the process has slept. */
  lastTick: number = Date.now();
  readonly #expecting = new Map<string, Expecting>();
  readonly #asked = new Set<Asked>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  #waiting: (() => void)[] = [];

  constructor(driver: Driver, host: BrokerHost, settings: Settings) {
    this.driver = driver;
    this.host = host;
    this.settings = settings;
    this.inbox = `${settings.inboxPrefix}.${host.busId.replaceAll('-', '')}`;
    driver.subscribe(`${this.inbox}.a.>`, undefined, (message) => this.#answered(message));
    driver.watch({
      down: () => this.#down(),
      up: () => void this.#up(),
      denied: (subject) => {
        for (const asked of this.#asked) if (asked.subject === subject) asked.denied();
      },
    });
    this.#timer = setInterval(() => {
      this.lastTick = Date.now();
      for (const listener of this.listeners) listener.tick?.(this.lastTick);
    }, TICK);
    this.#timer.unref();
  }

  /** Whether something can be sent this very moment. */
  get canSend(): boolean {
    return this.isUp && !this.closed && this.driver.isUp;
  }

  /**
   * An address for answers, to be used as it is or with `.<index>` behind it. Answers go to `expecting` until `forget`.
   */
  expect(expecting: Expecting): string {
    const token = (this.#next++).toString(36);
    this.#expecting.set(token, expecting);
    return `${this.inbox}.a.${token}`;
  }

  forget(address: string): void {
    this.#expecting.delete(address.slice(this.inbox.length + 3));
  }

  subscribe(
    subject: string,
    queue: string | undefined,
    take: (message: Incoming) => void,
  ): DriverSubscription {
    return this.driver.subscribe(subject, queue, take);
  }

  /** Sends one message. Only while `canSend`; otherwise nothing is sent. */
  send(subject: string, body: string, reply?: string): void {
    if (!this.canSend) return;
    const size = Buffer.byteLength(body);
    const to = reply === undefined ? subject : `${subject} ${reply}`;
    this.driver.write(Buffer.from(`PUB ${to} ${size}\r\n${body}\r\n`));
  }

  #sendWithHeaders(subject: string, head: Uint8Array, body: Uint8Array, reply: string): void {
    const size = head.length + body.length;
    const line = `HPUB ${subject} ${reply} ${head.length} ${size}\r\n`;
    this.driver.write(Buffer.concat([Buffer.from(line), head, body, Buffer.from('\r\n')]));
  }

  /**
   * Sends one message and waits for one answer.
   *
   * @param timeout - milliseconds
   * @throws {ConnectionError} when the connection is, or goes, down
   * @throws {ConfigError} when the account may not
   */
  ask(subject: string, body: string | Uint8Array, timeout: number, head?: Uint8Array): Promise<Incoming> {
    if (!this.canSend) return Promise.reject(this.broken());
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.forget(address);
        this.#asked.delete(asked);
      };
      const fail = (error: BusError): void => {
        end();
        reject(error);
      };
      const asked: Asked = { subject, denied: () => fail(denied(subject)) };
      const address = this.expect({
        answer: (_, message) => {
          end();
          resolve(message);
        },
        broken: () => fail(this.broken()),
      });
      const timer = setTimeout(
        () =>
          fail(new TimeoutError(`nats: no answer on ${subject} within ${timeout} ms`, { broker: 'nats' })),
        timeout,
      );
      timer.unref();
      this.#asked.add(asked);
      if (head === undefined) this.send(subject, String(body), address);
      else this.#sendWithHeaders(subject, head, typeof body === 'string' ? Buffer.from(body) : body, address);
    });
  }

  /** Resolves when it is up; rejects when it is not before `deadline` (milliseconds since the epoch). */
  async ready(deadline: number): Promise<void> {
    while (!this.canSend) {
      if (this.closed) throw new ClosedError('the broker is closed', { broker: 'nats' });
      const left = deadline - Date.now();
      if (left <= 0)
        throw new TimeoutError('nats: the connection did not come back in time', { broker: 'nats' });
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 2 ** 31 - 1));
        timer.unref();
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Resolves when the server has seen all that was sent before; over a broken connection once it is back. */
  async flush(): Promise<void> {
    for (;;) {
      await this.ready(Date.now() + PATIENCE);
      try {
        return await this.driver.flush();
      } catch (error) {
        if (this.closed) throw error;
        // The driver tells of the break a moment later.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  broken(): BusError {
    return this.closed
      ? new ClosedError('the broker is closed', { broker: 'nats' })
      : new ConnectionError('nats: the connection is down', { broker: 'nats' });
  }

  /** Whoever waits for an answer hears that there will be none. */
  #breakAll(): void {
    const all = [...this.#expecting.values()];
    this.#expecting.clear();
    for (const expecting of all) expecting.broken();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #answered(message: Incoming): void {
    const token = message.subject.slice(this.inbox.length + 3);
    const dot = token.indexOf('.');
    const expecting = this.#expecting.get(dot < 0 ? token : token.slice(0, dot));
    expecting?.answer(dot < 0 ? 0 : Number(token.slice(dot + 1)), message);
  }

  #down(): void {
    if (!this.isUp || this.closed) return;
    this.isUp = false;
    this.#breakAll();
    for (const listener of [...this.listeners]) listener.down?.();
    this.host.disconnected(this.broken());
  }

  async #up(): Promise<void> {
    if (this.isUp || this.closed) return;
    this.isUp = true;
    this.#breakAll();
    this.#wake();
    await Promise.allSettled([...this.listeners].map((listener) => listener.up?.()));
    if (this.canSend) this.host.reconnected();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.#timer);
    this.#breakAll();
    this.#wake();
    await this.driver.close();
  }
}

function denied(subject: string): ConfigError {
  return new ConfigError(`nats: the account may not publish to ${subject}`, { broker: 'nats' });
}

/** Whether nobody listens on the subject that was asked. */
export function isUnheard({ head, body }: Incoming): boolean {
  return head !== undefined && body.length === 0 && statusOf(head)?.code === 503;
}
