import { randomBytes } from 'node:crypto';
import { type Clock, TimeoutError, type Timer } from '@ambus/core';
import type { Redis } from 'ioredis';
import type { Arg } from '../driver/encode.ts';
import type { Script } from '../driver/script.ts';
import type { Session } from '../driver/session.ts';
import { isBroken, isMisdirected, isMissingScript, isRefused, toBusError } from '../errors.ts';
import { SCRIPTS } from '../scripts/index.ts';
import type { Call } from './call.ts';

const { store, storePlain, turn } = SCRIPTS;

/** Milliseconds before a cluster that is rearranging itself is asked again. */
const PAUSE = 100;

/** Milliseconds that a counter outlives its beginning; then the next run of numbers begins. */
const COUNTER_LIFE = 3_600_000;
/** Streams of which it is remembered that they are there. */
const MAX_REMEMBERED = 10_000;
/** How much may be added to a stream before it is looked at again: this, or a twentieth of what it keeps. */
const MAX_UNTRIMMED = 500;

interface Sending {
  readonly script: Script;
  readonly args: Arg[];
}

/** What every call of a publisher begins with. */
export interface LineSettings {
  readonly session: Session;
  readonly clock: Clock;
  readonly root: string;
  readonly busId: string;
  readonly create: boolean;
  readonly deduplicationWindow: number;
  readonly trimUnacked: boolean;
}

/**
 * The calls that store records in one shard, one after the other on one connection. When that breaks, the server tells how
 * far it came, and only what it has not done is sent again: in order, and nothing after its deadline.
 */
export class Line {
  readonly #settings: LineSettings;
  readonly #tag: string;
  readonly #key: string;
  /** Key of this run of numbers: what still comes over an earlier connection is out of turn. */
  #counter = '';
  /** The next run of numbers, by one name until the server has confirmed it: it may have begun already. */
  #nextCounter = '';
  #number = 0;
  /** By stream that is known to be there: how much may be added before it is looked at again. */
  readonly #untrimmed = new Map<string, number>();
  #flows = false;
  #syncing = false;
  #pending: Call[] = [];
  #timer: Timer | undefined;

  constructor(tag: string, settings: LineSettings) {
    this.#tag = tag;
    this.#settings = settings;
    this.#key = `${tag}:publisher:${settings.busId}`;
  }

  push(call: Call): void {
    this.#pending.push(call);
    this.#arm(call.deadline);
    if (this.#flows) this.#send(call);
    else void this.sync();
  }

  #send(call: Call): void {
    const { session } = this.#settings;
    call.number = ++this.#number;
    const counter = this.#counter;
    const { script, args } = this.#isPlain(call) ? this.#plain(call) : this.#full(call);
    session.send(script, this.#tag, args).then(
      (reply) => {
        if (Buffer.isBuffer(reply)) {
          this.#interrupted(counter);
        } else {
          if (script === store && reply === null) this.#remember(call);
          this.#answered(call, () => call.accept(reply));
        }
      },
      (error: unknown) => this.#failed(call, counter, error),
    );
  }

  #failed(call: Call, counter: string, error: unknown): void {
    const { session } = this.#settings;
    if (isMissingScript(error)) {
      void session
        .reload()
        .catch(() => {})
        .then(() => this.#interrupted(counter));
    } else if (isBroken(error) || isMisdirected(error) || isRefused(error)) {
      if (isMisdirected(error) && !session.isCluster) session.drop(toBusError(error));
      this.#interrupted(counter);
    } else {
      this.#answered(call, () => call.fail(toBusError(error)));
    }
  }

  /** Number of the first call that waits for its answer. */
  get #oldest(): number {
    return this.#pending[0]!.number;
  }

  #full(call: Call): Sending {
    // This call trims what is known to be there: those that follow before its answer need not do so again.
    for (const [stream, most] of call.limits()) {
      if (this.#untrimmed.has(stream)) this.#untrimmed.set(stream, trimmingEvery(most));
    }
    const { root, create, deduplicationWindow, trimUnacked } = this.#settings;
    const before = [
      root,
      create ? 1 : 0,
      this.#counter,
      call.number,
      deduplicationWindow,
      trimUnacked ? 1 : 0,
      this.#oldest,
    ];
    return { script: store, args: call.args(before) };
  }

  #plain(call: Call): Sending {
    return {
      script: storePlain,
      args: call.plainArgs([this.#counter, call.number, this.#oldest], this.#settings.root),
    };
  }

  /** Whether all it adds to is there, and none is to be trimmed yet. */
  #isPlain(call: Call): boolean {
    const streams = call.streams();
    if (streams === undefined) return false;
    for (const stream of streams.keys()) {
      const left = this.#untrimmed.get(stream);
      if (left === undefined || left <= 0) return false;
    }
    for (const [stream, count] of streams) this.#untrimmed.set(stream, this.#untrimmed.get(stream)! - count);
    return true;
  }

  #remember(call: Call): void {
    if (this.#untrimmed.size > MAX_REMEMBERED) this.#untrimmed.clear();
    for (const [stream, most] of call.limits()) this.#untrimmed.set(stream, trimmingEvery(most));
  }

  #answered(call: Call, settle: () => void): void {
    const { length } = this.#pending;
    // Answers come in the order of the calls.
    if (this.#pending[0] === call) this.#pending.shift();
    else this.#pending = this.#pending.filter((other) => other !== call);
    if (this.#pending.length < length) settle();
  }

  #interrupted(counter: string): void {
    if (counter !== this.#counter) return;
    this.#flows = false;
    this.#untrimmed.clear();
    void this.sync();
  }

  /** The connection is another one. */
  reset(): void {
    this.#flows = false;
  }

  /** Finds out how far the server came and goes on from there. */
  async sync(): Promise<void> {
    const { session } = this.#settings;
    if (this.#flows || this.#syncing || !session.isUp) return;
    this.#syncing = true;
    try {
      const { client } = session;
      this.#nextCounter ||= `${this.#key}:${randomBytes(6).toString('hex')}`;
      const counter = this.#nextCounter;
      const reply = (await session.run(turn, this.#tag, [this.#counter, counter, COUNTER_LIFE])) as Buffer[];
      if (session.client !== client) return;
      this.#counter = counter;
      this.#nextCounter = '';
      this.#number = 1;
      this.#done(reply.map(String));
      this.#pending = this.#pending.filter((call) => !call.settled);
      this.#flows = true;
      for (const call of this.#pending) this.#send(call);
    } catch (error) {
      if (isBroken(error)) return;
      if (!isMisdirected(error)) {
        for (const call of this.#pending.splice(0)) call.fail(toBusError(error));
      } else {
        this.#syncSoon();
      }
    } finally {
      this.#syncing = false;
      if (!this.#flows && session.isUp && this.#pending.length > 0) this.#syncSoon();
    }
  }

  #syncSoon(): void {
    setTimeout(() => void this.sync(), PAUSE).unref();
  }

  /** Settles what the server did before the connection broke. */
  #done([last, ...refused]: readonly string[]): void {
    const reached = Number(last);
    for (const call of this.#pending) {
      if (call.number === 0 || call.number > reached) continue;
      const at = refused.indexOf(String(call.number));
      call.accept(at < 0 ? undefined : JSON.parse(refused[at + 1]!));
    }
  }

  /** One timer for all: their deadlines come in order, or nearly so. */
  #arm(deadline: number): void {
    const { clock } = this.#settings;
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      const now = clock.now();
      let next = Number.POSITIVE_INFINITY;
      for (const call of this.#pending) {
        if (call.settled) continue;
        if (call.deadline <= now) {
          call.fail(new TimeoutError('the server did not answer a publish in time', { broker: 'redis' }));
        } else {
          next = Math.min(next, call.deadline);
        }
      }
      if (!this.#flows) this.#pending = this.#pending.filter((call) => !call.settled || call.number > 0);
      if (next < Number.POSITIVE_INFINITY) this.#arm(next);
    }, deadline - clock.now());
  }

  /** Leaves nothing on the server. */
  async forget(): Promise<void> {
    const { session } = this.#settings;
    if (session.isUp && this.#counter !== '') {
      const keys = ['', ':from', ':refused'].map((end) => this.#counter + end);
      await (session.client as Redis).unlink(keys).catch(() => {});
    }
  }

  close(error: unknown): void {
    this.#settings.clock.clearTimeout(this.#timer);
    this.#flows = false;
    for (const call of this.#pending.splice(0)) call.fail(error);
  }
}

function trimmingEvery(most: number | undefined): number {
  return most === undefined ? MAX_UNTRIMMED : Math.min(MAX_UNTRIMMED, Math.floor(most / 20));
}
