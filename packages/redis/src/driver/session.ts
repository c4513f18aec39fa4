import { type BusError, ClosedError, ConnectionError } from '@ambus/core';
import type { Redis } from 'ioredis';
import { isBroken, isMisdirected, isMissingScript, toBusError } from '../errors.ts';
import { EncodedCommand } from './command.ts';
import { type Client, dial, dialNode, hangUp, isCluster, type Target } from './dial.ts';
import { type Arg, encodeCommand } from './encode.ts';
import type { Script } from './script.ts';

/** Milliseconds between the tries to come back: quick at first, as most cuts are short. */
const FIRST_PAUSE = 30;
const LONGEST_PAUSE = 2_000;
/** Milliseconds that one try may take; a server that accepts and says nothing must not hold it up. */
const DIAL_TIMEOUT = 5_000;
/** Milliseconds that a server gets to take its scripts back; then what needs them tries again. */
const LOAD_TIMEOUT = 1_000;
/** Milliseconds between two looks whether the other end still answers, and of silence after which it does not. */
const PULSE = 1_000;
const SILENCE = 4_000;

/** What a session tells. */
export interface SessionEvents {
  /** Runs on each new connection before anybody else may use it; when it fails, so has the connection. */
  restore(): Promise<void>;
  disconnected(error: BusError): void;
  reconnected(): void;
}

/**
 * The two connections that a bus always has: one for commands, one that listens. They live and die together, so that there
 * is one answer to whether the bus is connected. It comes back by itself until it is closed.
 */
export class Session {
  readonly #target: Target;
  readonly #name: string;
  readonly #scripts: readonly Script[];
  readonly #events: SessionEvents;
  #client: Client | undefined;
  #ears: Redis | undefined;
  #isUp = false;
  #ended: BusError | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;
  #pulse: NodeJS.Timeout | undefined;
  #stopPause: (() => void) | undefined;

  constructor(target: Target, name: string, scripts: readonly Script[], events: SessionEvents) {
    this.#target = target;
    this.#name = name;
    this.#scripts = scripts;
    this.#events = events;
  }

  /** Whether calls go out now. */
  get isUp(): boolean {
    return this.#isUp;
  }
  get isCluster(): boolean {
    return this.#target.cluster !== undefined || isCluster(this.#target.client);
  }
  get client(): Client | undefined {
    return this.#client;
  }
  /** The connection that listens; only while there is one. */
  get ears(): Redis | undefined {
    return this.#ears;
  }

  /** The first time: rejects at once when the server cannot be reached. */
  async connect(timeout: number): Promise<void> {
    try {
      await this.#open(timeout);
    } catch (error) {
      this.#hangUp();
      throw this.#ended ?? toBusError(error);
    }
  }

  async #open(timeout: number): Promise<void> {
    const client = await dial(this.#target, this.#name, timeout);
    this.#client = client;
    if (this.#ended !== undefined) throw this.#ended;
    const ears = await dialNode(this.#target, `${this.#name}:ears`, timeout, client);
    this.#ears = ears;
    if (this.#ended !== undefined) throw this.#ended;
    const lost = (): void =>
      this.#lost(client, new ConnectionError('the connection was lost', { broker: 'redis' }));
    client.once('end', lost);
    ears.once('end', lost);
    await this.#load(client);
    await this.#events.restore();
    if (this.#ended !== undefined) throw this.#ended;
    if (this.#client !== client) throw new ConnectionError('the connection was lost', { broker: 'redis' });
    this.#isUp = true;
    this.#watch(client, ears);
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  /** Brings the scripts back to a server that has forgotten them. */
  async reload(): Promise<void> {
    if (this.#client === undefined) return;
    const late = new Promise<void>((resolve) => setTimeout(resolve, LOAD_TIMEOUT).unref());
    await Promise.race([this.#load(this.#client), late]);
  }

  /** Scripts that are missing all the same are sent with their first call. */
  async #load(client: Client): Promise<void> {
    const shas = this.#scripts.map(({ sha }) => sha);
    // A node that is down would never answer.
    const nodes = isCluster(client)
      ? client.nodes('master').filter(({ status }) => status === 'ready')
      : [client];
    const loads = nodes.map(async (node) => {
      const known = (await node.script('EXISTS', ...shas)) as number[];
      const missing = this.#scripts.filter((_, at) => known[at] !== 1);
      await Promise.all(missing.map(({ source }) => node.script('LOAD', source)));
    });
    for (const outcome of await Promise.allSettled(loads)) {
      if (outcome.status === 'rejected' && !isCluster(client) && isBroken(outcome.reason))
        throw outcome.reason;
    }
  }

  /** Gives up a connection over which nothing has come for too long. */
  #watch(client: Client, ears: Redis): void {
    const watched = isCluster(client) ? [ears] : [client, ears];
    const states = watched.map((one) => ({ one, bytes: -1, since: performance.now(), asked: false }));
    clearInterval(this.#pulse);
    let lastLook = performance.now();
    this.#pulse = setInterval(() => {
      const now = performance.now();
      // This process stood still: what the server said meanwhile has not been read yet.
      const isLate = now - lastLook > 2 * PULSE;
      lastLook = now;
      for (const state of states) {
        const bytes = (state.one as { stream?: { bytesRead: number } }).stream?.bytesRead ?? 0;
        if (bytes !== state.bytes || !state.asked || isLate) {
          state.bytes = bytes;
          state.since = now;
        }
        if (now - state.since > SILENCE) {
          this.#lost(client, new ConnectionError('the server does not answer', { broker: 'redis' }));
          return;
        }
        if (state.asked) continue;
        state.asked = true;
        state.one.ping().then(
          () => {
            state.asked = false;
          },
          () => {},
        );
      }
    }, PULSE);
    this.#pulse.unref();
  }

  /** Starts over: this connection leads to the wrong server, or to none. */
  drop(error: BusError): void {
    if (this.#client !== undefined) this.#lost(this.#client, error);
  }

  #lost(client: Client, error: BusError): void {
    if (this.#client !== client) return;
    const wasUp = this.#isUp;
    this.#hangUp();
    if (!wasUp || this.#ended !== undefined) return;
    this.#events.disconnected(error);
    void this.#comeBack();
  }

  async #comeBack(): Promise<void> {
    for (let pause = FIRST_PAUSE; this.#ended === undefined; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      await this.#rest(pause * (0.5 + Math.random() / 2));
      if (this.#ended !== undefined) return;
      try {
        await this.#open(DIAL_TIMEOUT);
        this.#events.reconnected();
        return;
      } catch {
        this.#hangUp();
      }
    }
  }

  #rest(pause: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      timer.unref();
      this.#stopPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hangUp(): void {
    const [client, ears] = [this.#client, this.#ears];
    this.#client = undefined;
    this.#ears = undefined;
    this.#isUp = false;
    clearInterval(this.#pulse);
    if (ears !== undefined) hangUp(ears);
    if (client !== undefined) hangUp(client);
  }

  /** Sends one encoded call, with no promise but the driver's own. Rejects with what the driver or server says. */
  send(script: Script, tag: string, encoded: Buffer): Promise<unknown> {
    const client = this.#client;
    if (client === undefined) return Promise.reject(this.#down());
    const command = new EncodedCommand('evalsha', [script.sha, '1', tag], encoded);
    client.sendCommand(command);
    return command.promise;
  }

  /** Runs a script on the connection that is there; rejects with a `BusError` when there is none. */
  async run(script: Script, tag: string, args: readonly Arg[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined) throw this.#down();
    try {
      return await this.send(script, tag, encodeCommand(['evalsha', script.sha, 1, tag, ...args]));
    } catch (error) {
      if (isMissingScript(error)) return this.#evaluate(client, script, tag, args);
      throw this.#judge(client, error);
    }
  }

  async #evaluate(client: Client, script: Script, tag: string, args: readonly Arg[]): Promise<unknown> {
    const encoded = encodeCommand(['eval', script.source, 1, tag, ...args]);
    const command = new EncodedCommand('eval', [script.sha, '1', tag], encoded);
    client.sendCommand(command);
    try {
      return await command.promise;
    } catch (error) {
      throw this.#judge(client, error);
    }
  }

  /** A server that is no master any more is not the one to talk to. */
  #judge(client: Client, error: unknown): unknown {
    if (isMisdirected(error) && !isCluster(client)) this.#lost(client, toBusError(error));
    return error;
  }

  /**
   * As `run`, over as many connections as it takes: for what may be repeated. Rejects when the server refuses it, or when
   * the session has ended.
   */
  async insist(script: Script, tag: string, args: readonly Arg[]): Promise<unknown> {
    for (let tries = 0; ; tries++) {
      await this.ready();
      try {
        return await this.run(script, tag, args);
      } catch (error) {
        const passing = isBroken(error) || isMisdirected(error) || ConnectionError.is(error);
        if (!passing || this.#ended !== undefined) throw this.#ended ?? error;
        await this.#settle(tries);
      }
    }
  }

  /** A cluster finds its new master in a moment; asking at full speed would only keep it busy. */
  #settle(tries: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(20 * 2 ** tries, 500)).unref());
  }

  /** Resolves when there is a connection; rejects when there will be none. */
  ready(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#isUp) return Promise.resolve();
    if (this.#waiting === undefined) {
      this.#waiting = Promise.withResolvers();
      this.#waiting.promise.catch(() => {});
    }
    return this.#waiting.promise;
  }

  #down(): BusError {
    return this.#ended ?? new ConnectionError('Connection is closed', { broker: 'redis' });
  }

  /** One more connection of the same kind, for reads that block. */
  async dialReader(): Promise<Redis> {
    const client = this.#client;
    if (client === undefined) throw this.#down();
    return dialNode(this.#target, `${this.#name}:reader`, DIAL_TIMEOUT, client);
  }

  close(): void {
    if (this.#ended !== undefined) return;
    this.#ended = new ClosedError('the broker is closed', { broker: 'redis' });
    this.#stopPause?.();
    this.#hangUp();
    this.#waiting?.reject(this.#ended);
    this.#waiting = undefined;
  }
}
