import {
  type BrokerHost,
  type BusError,
  ClosedError,
  type ConfigError,
  ConnectionError,
  TimeoutError,
} from '@ambus/core';
import type { Settings } from '../options.ts';
import { statusOf } from '../wire/headers.ts';
import type { Expecting, LinkListener } from './contracts.ts';
import { Denials, denied } from './denials.ts';
import type { Driver, DriverSubscription, Incoming } from './driver.ts';

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
  isUp: boolean;
  closed = false;
  /** Time of the last tick: much longer ago than a tick, the process has slept. */
  lastTick: number = Date.now();
  readonly #expecting = new Map<string, Expecting>();
  readonly #denials: Denials;
  /** Why no answer can come. */
  #refusal: ConfigError | undefined;
  /** The driver has given up. */
  #ended = false;
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  #waiting: (() => void)[] = [];

  constructor(driver: Driver, host: BrokerHost, settings: Settings) {
    this.driver = driver;
    // One that was given may be connecting again just now.
    this.isUp = driver.isUp;
    this.host = host;
    this.settings = settings;
    this.#denials = new Denials(host);
    this.inbox = `${settings.inboxPrefix}.${host.busId.replaceAll('-', '')}`;
    this.subscribe(
      `${this.inbox}.a.>`,
      undefined,
      (message) => this.#answered(message),
      (error) => {
        this.#refusal = error;
        for (const expecting of [...this.#expecting.values()]) expecting.denied?.(error, undefined);
      },
    );
    driver.watch({
      down: () => this.#down(),
      up: () => void this.#up(),
      denied: (subject) => this.#denied(subject),
      ended: () => this.#end(),
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
    if (this.#refusal !== undefined) {
      const error = this.#refusal;
      queueMicrotask(() => this.#expecting.get(token)?.denied?.(error, undefined));
    }
    return `${this.inbox}.a.${token}`;
  }

  forget(address: string): void {
    this.#expecting.delete(address.slice(this.inbox.length + 3));
  }

  /** @param refused - the account may not; the server says so before it answers a ping */
  subscribe(
    subject: string,
    queue: string | undefined,
    take: (message: Incoming) => void,
    refused?: (error: ConfigError) => void,
  ): DriverSubscription {
    return this.driver.subscribe(subject, queue, take, () => {
      if (refused === undefined) this.#denials.tell('subscribe to', subject);
      else refused(denied('subscribe to', subject));
    });
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
      };
      const fail = (error: BusError): void => {
        end();
        reject(error);
      };
      const address = this.expect({
        answer: (_, message) => {
          end();
          resolve(message);
        },
        broken: () => fail(this.broken()),
        denied: (error, to) => {
          if (to !== undefined && to !== subject) return false;
          fail(error);
          return true;
        },
      });
      const timer = setTimeout(
        () =>
          fail(new TimeoutError(`nats: no answer on ${subject} within ${timeout} ms`, { broker: 'nats' })),
        timeout,
      );
      timer.unref();
      if (head === undefined) this.send(subject, String(body), address);
      else this.#sendWithHeaders(subject, head, typeof body === 'string' ? Buffer.from(body) : body, address);
    });
  }

  /** Resolves when it is up; rejects when it is not before `deadline` (milliseconds since the epoch). */
  async ready(deadline: number): Promise<void> {
    while (!this.canSend) {
      if (this.closed || this.#ended) throw this.broken();
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
        if (this.closed || this.#ended) throw error;
        // The driver tells of the break a moment later.
        await new Promise((resolve) => setTimeout(resolve, 10).unref());
      }
    }
  }

  broken(): BusError {
    if (this.closed) return new ClosedError('the broker is closed', { broker: 'nats' });
    if (!this.#ended) return new ConnectionError('nats: the connection is down', { broker: 'nats' });
    return new ConnectionError(
      'nats: the client has ended its connection for good: it was closed, or its maxReconnectAttempts are over',
      { broker: 'nats', retryable: false },
    );
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

  /** The account may not publish there: who has hears of it at once, and else the operator. */
  #denied(subject: string): void {
    const error = denied('publish to', subject);
    let isTold = false;
    for (const expecting of [...this.#expecting.values()]) {
      if (expecting.denied?.(error, subject)) isTold = true;
    }
    for (const listener of [...this.listeners]) if (listener.denied?.(error, subject)) isTold = true;
    if (isTold) this.#denials.remember(subject);
    else this.#denials.tell('publish to', subject);
  }

  /** A client that was given to us stays away. */
  #end(): void {
    if (this.closed || this.#ended) return;
    this.#ended = true;
    const wasUp = this.isUp;
    this.isUp = false;
    const error = this.broken();
    this.#breakAll();
    this.#wake();
    for (const listener of [...this.listeners]) listener.ended?.(error);
    if (wasUp) this.host.disconnected(error);
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

/** Whether nobody listens on the subject that was asked. */
export function isUnheard({ head, body }: Incoming): boolean {
  return head !== undefined && body.length === 0 && statusOf(head)?.code === 503;
}
