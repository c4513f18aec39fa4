import { type BusError, ClosedError, ConnectionError } from '@ambus/core';
import type { Redis } from 'ioredis';
import {
  isBroken,
  isMisdirected,
  isMissingScript,
  isMoving,
  isPassing,
  isRefused,
  toBusError,
} from '../errors.ts';
import { EncodedCommand } from './command.ts';
import { type Client, dial, dialNode, hangUp, isCluster, type Target } from './dial.ts';
import { type Arg, encodeCommand } from './encode.ts';
import { answers, watch } from './pulse.ts';
import { loadScripts, type Script } from './script.ts';

/** Milliseconds between the tries to come back: quick at first, as most cuts are short. */
const FIRST_PAUSE = 30;
const LONGEST_PAUSE = 2_000;
/** Milliseconds that dialling may take; a server that accepts and says nothing must not hold it up. */
const DIAL_TIMEOUT = 5_000;
/** The same of a whole try to come back: a host that dies in the middle of it says nothing ever. There may be much to restore. */
const OPEN_TIMEOUT = 15_000;
/** Milliseconds that a server gets to take its scripts back; then what needs them tries again. */
const LOAD_TIMEOUT = 1_000;
/** Milliseconds in which a call waits for a cluster that is rearranging itself. */
const PATIENCE = 5_000;
/** The same before a new connection is everybody's: what waits then holds up those shards, too, that are well. */
const FIRST_PATIENCE = 500;

/** What a session tells. */
export interface SessionEvents {
  /** Runs on each new connection before anybody else may use it; when it fails, so has the connection. */
  restore(): Promise<void>;
  disconnected(error: BusError): void;
  reconnected(): void;
  /** The server has closed the connection that listens, and that one alone. */
  deafened(): void;
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
  #unwatch: () => void = () => {};
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
      await this.#open(timeout, timeout);
    } catch (error) {
      this.#hangUp();
      throw this.#ended ?? toBusError(error);
    }
  }

  /** @param timeout - milliseconds for all of it, and `dialing` for each of the two connections */
  async #open(dialing: number, timeout: number): Promise<void> {
    const end = performance.now() + timeout;
    const client = await dial(this.#target, this.#name, dialing);
    this.#client = client;
    if (this.#ended !== undefined) throw this.#ended;
    let late: Error | undefined;
    const timer = setTimeout(() => {
      late = new Error(`connect ETIMEDOUT: no answer within ${timeout} ms`);
      this.#lost(client, toBusError(late));
    }, end - performance.now());
    try {
      await this.#openOn(client, Math.min(dialing, end - performance.now()));
    } catch (error) {
      throw late ?? error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #openOn(client: Client, dialing: number): Promise<void> {
    const ears = await dialNode(this.#target, `${this.#name}:ears`, Math.max(1, dialing), client);
    this.#ears = ears;
    if (this.#ended !== undefined) throw this.#ended;
    const lost = (isSpared: boolean): void =>
      this.#lost(client, new ConnectionError('the connection was lost', { broker: 'redis' }), isSpared);
    client.once('end', () => lost(false));
    ears.once('end', () => this.#deafened(client, lost));
    await loadScripts(client, this.#scripts);
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
    await Promise.race([loadScripts(this.#client, this.#scripts), late]);
  }

  /** Whether the other connection still answers tells what happened; it ends all the same, as they live and die together. */
  #deafened(client: Client, lost: (spared: boolean) => void): void {
    if (this.#client !== client || !this.#isUp || isCluster(client)) {
      lost(false);
      return;
    }
    const isAlone = answers(client);
    lost(true);
    void isAlone.then((alone) => {
      hangUp(client);
      if (alone && this.#ended === undefined) this.#events.deafened();
    });
  }

  #watch(client: Client, ears: Redis): void {
    this.#unwatch();
    this.#unwatch = watch(
      () =>
        isCluster(client)
          ? [...client.nodes('master').filter(({ status }) => status === 'ready'), ears]
          : [client, ears],
      (silent) => {
        // One node of many: the others go on.
        if (silent !== client && silent !== ears) hangUp(silent);
        else this.#lost(client, new ConnectionError('the server does not answer', { broker: 'redis' }));
      },
    );
  }

  /** Starts over: this connection leads to the wrong server, or to none. */
  drop(error: BusError): void {
    if (this.#client !== undefined) this.#lost(this.#client, error);
  }

  #lost(client: Client, error: BusError, isSpared = false): void {
    if (this.#client !== client) return;
    const wasUp = this.#isUp;
    if (isSpared) this.#client = undefined;
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
        await this.#open(DIAL_TIMEOUT, OPEN_TIMEOUT);
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
    this.#unwatch();
    if (ears !== undefined) hangUp(ears);
    if (client !== undefined) hangUp(client);
  }

  /** Sends one call, with no promise but the driver's own. Rejects with what the driver or server says. */
  send(script: Script, tag: string, args: readonly Arg[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined) return Promise.reject(this.#down());
    const command = this.#command('evalsha', script.sha, tag, args);
    client.sendCommand(command);
    return command.promise;
  }

  /**
   * A node that gives a slot away and the one that gets it each see a part of its keys. To a call with two keys that are
   * nowhere neither of them says yes, so nothing is done by halves before the slot has moved.
   */
  #command(name: 'evalsha' | 'eval', code: string, tag: string, args: readonly Arg[]): EncodedCommand {
    const keys = this.isCluster ? [2, tag, `${tag}:-`] : [1, tag];
    return new EncodedCommand(name, [code, '1', tag], encodeCommand([name, code, ...keys], args));
  }

  /**
   * Runs a script on the connection that is there; rejects with a `BusError` when there is none. What a cluster has surely
   * not done, because its node was not reached, did not know us or was giving the slot away, is sent again.
   *
   * @param patience - milliseconds in which it is sent again
   */
  async run(
    script: Script,
    tag: string,
    args: readonly Arg[],
    patience: number = this.#isUp ? PATIENCE : FIRST_PATIENCE,
  ): Promise<unknown> {
    const end = performance.now() + patience;
    let isKnown = true;
    for (let tries = 0; ; ) {
      const client = this.#client;
      if (client === undefined) throw this.#down();
      const command = isKnown
        ? this.#command('evalsha', script.sha, tag, args)
        : this.#command('eval', script.source, tag, args);
      client.sendCommand(command);
      try {
        return await command.promise;
      } catch (error) {
        if (isKnown && isMissingScript(error)) {
          isKnown = false;
          continue;
        }
        const isUndone = isMoving(error) || isRefused(error) || (isBroken(error) && !command.wasWritten);
        if (!isCluster(client) || !isUndone || performance.now() > end) throw this.#judge(client, error);
      }
      await this.#settle(tries++);
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
   *
   * @param patience - milliseconds in which a server that refuses it in passing, as one that is full, is asked again
   */
  async insist(script: Script, tag: string, args: readonly Arg[], patience = 0): Promise<unknown> {
    let end: number | undefined;
    for (let tries = 0; ; tries++) {
      await this.ready();
      try {
        return await this.run(script, tag, args);
      } catch (error) {
        const isElsewhere = isBroken(error) || isMisdirected(error) || ConnectionError.is(error);
        if (!isElsewhere) end ??= performance.now() + patience;
        const again = isElsewhere || (isPassing(error) && performance.now() < end!);
        if (!again || this.#ended !== undefined) throw this.#ended ?? error;
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
