import type { Clock, Timer } from '../clock.ts';
import { checkArgument, checkOptions, integer, milliseconds, type Spec } from '../config/check.ts';
import { ClosedError } from '../errors.ts';
import type { Consumer } from './consumer.ts';
import type { Message } from './message.ts';
import { from, group, SUBSCRIBE_SPEC, type SubscribeOptions } from './options.ts';
import { UNSEEN } from './unseen.ts';

/** How messages are pulled. */
export interface ReceiveOptions
  extends Pick<SubscribeOptions, 'from' | 'handlerTimeout' | 'retry' | 'deadLetter'> {
  /** Whose position it is. Needed: between two calls a subscription without one would miss what is published. */
  readonly group: string;
  /** Most messages, 1 to 10,000. Default 1. */
  readonly max?: number | undefined;
  /** Milliseconds to wait for the first message; 0 takes what is there, for which it waits 100 at least. Default 5,000. */
  readonly timeout?: number | undefined;
  /** Stops waiting: the call returns what has come. */
  readonly signal?: AbortSignal | undefined;
}

export const RECEIVE_SPEC: Spec<ReceiveOptions> = {
  group,
  max: integer(1, 10_000),
  timeout: milliseconds(0),
  from,
  handlerTimeout: SUBSCRIBE_SPEC.handlerTimeout,
  retry: SUBSCRIBE_SPEC.retry,
  deadLetter: SUBSCRIBE_SPEC.deadLetter,
  signal: SUBSCRIBE_SPEC.signal,
};

/** Milliseconds that the first message waits for the rest: brokers that hand out one at a time still fill a call. */
const LINGER = 20;

/** Milliseconds that a call with `timeout: 0` gives the broker to hand out what it has. */
const GLANCE = 100;

/** Milliseconds after its last call that a puller keeps its place in the group: a program may pull from ever new topics. */
const IDLE = 300_000;

/** Most unsettled messages of one puller: calls for more have a puller of their own, so that small ones do not hoard. */
export function capacity(max: number): number {
  return max <= 100 ? 100 : max <= 1_000 ? 1_000 : 10_000;
}

export function checkReceive(options: unknown): asserts options is ReceiveOptions {
  checkOptions('receive option', options, RECEIVE_SPEC);
  checkArgument('receive option "group"', (options as ReceiveOptions | undefined)?.group, group);
}

type Open = (room: number, handle: (message: Message) => void, failed: () => void) => Promise<Consumer>;

/** A call that waits, and what has come for it. */
interface Call {
  readonly max: number;
  readonly messages: Message[];
  readonly over: PromiseWithResolvers<void>;
  timer: Timer | undefined;
}

/**
 * Messages of one group and pattern, pulled instead of pushed. The consumer behind it stays between calls, paused,
 * so the group has one member and messages that were handed out can be settled. It fetches what the calls ask for and no
 * more: what would have to be given back costs round trips, and on some brokers money.
 */
export class Puller {
  readonly #clock: Clock;
  readonly #open: Open;
  readonly #leave: (consumer: Consumer | undefined) => void;
  #opening: Promise<Consumer> | undefined;
  #consumer: Consumer | undefined;
  /** In their order: each message goes to the first that wants one. */
  readonly #calls = new Set<Call>();
  #pausing: Promise<void> = Promise.resolve();
  #idle: Timer | undefined;
  #closed = false;

  /**
   * @param open - subscribes in manual mode with `mayRun`; called again when the consumer has ended by itself or was closed
   * @param leave - forgets this puller, and unsubscribes what nobody has called for a while
   */
  constructor(clock: Clock, open: Open, leave: (consumer: Consumer | undefined) => void) {
    this.#clock = clock;
    this.#open = open;
    this.#leave = leave;
  }

  /** Up to `max` messages; none when none came within `timeout` milliseconds. They are to be settled by hand. */
  async receive(max: number, timeout: number, signal: AbortSignal | undefined): Promise<Message[]> {
    if (this.#closed) throw new ClosedError('the bus is closed');
    if (signal?.aborted) return [];
    const call: Call = { max, messages: [], over: Promise.withResolvers(), timer: undefined };
    const aborted = (): void => call.over.resolve();
    signal?.addEventListener('abort', aborted, { once: true });
    this.#calls.add(call);
    this.#clock.clearTimeout(this.#idle);
    try {
      await Promise.race([call.over.promise, this.#fetch()]);
      if (call.messages.length === 0) this.#endIn(call, Math.max(timeout, GLANCE));
      await call.over.promise;
    } finally {
      this.#clock.clearTimeout(call.timer);
      signal?.removeEventListener('abort', aborted);
      this.#calls.delete(call);
      if (this.#opening === undefined && this.#calls.size === 0) this.#leave(undefined);
      await this.#rest();
    }
    return call.messages;
  }

  async #fetch(): Promise<void> {
    await this.#pausing;
    const consumer = await this.#opened();
    if (this.#wanted > 0) consumer.resume(this.#wanted);
  }

  #opened(): Promise<Consumer> {
    this.#opening ??= this.#open(
      this.#wanted,
      (message) => this.#take(message),
      () => this.#forget(),
    ).then(
      (consumer) => {
        this.#consumer = consumer;
        // More may wait by now, or nobody.
        void this.#rest();
        return consumer;
      },
      (error: unknown) => {
        this.#forget();
        throw error;
      },
    );
    return this.#opening;
  }

  /** It has ended, or was never there: the next call makes a new one. */
  #forget(): void {
    this.#opening = undefined;
    this.#consumer = undefined;
    if (this.#calls.size === 0) this.#leave(undefined);
  }

  /** What nobody waits for stays with the broker. */
  async #rest(): Promise<void> {
    if (this.#wanted > 0) {
      this.#consumer?.resume(this.#wanted);
    } else if (this.#calls.size === 0 && this.#consumer !== undefined) {
      this.#watchIdle();
      this.#pausing = this.#consumer.pause().catch(() => {});
      await this.#pausing;
    }
  }

  #watchIdle(): void {
    if (this.#closed) return;
    this.#clock.clearTimeout(this.#idle);
    this.#idle = this.#clock.setTimeout(() => {
      const consumer = this.#consumer;
      if (consumer === undefined || this.#calls.size > 0) return;
      if (consumer.unsettled > 0) {
        this.#watchIdle();
        return;
      }
      this.#leave(consumer);
    }, IDLE);
  }

  /** Messages that may still come for the calls that wait. */
  get #wanted(): number {
    let wanted = 0;
    for (const { max, messages } of this.#calls) wanted += max - messages.length;
    return wanted;
  }

  /** Whether one more may be taken in while `running` others are on their way: what is beyond stays with the broker. */
  readonly mayRun = (running: number): boolean => running < this.#wanted;

  #take(message: Message): void {
    const call = [...this.#calls].find(({ max, messages }) => messages.length < max);
    // It took its time to be read, and nobody waits any more.
    if (call === undefined) throw UNSEEN;
    call.messages.push(message);
    if (call.messages.length === call.max) call.over.resolve();
    else if (call.messages.length === 1) this.#endIn(call, LINGER);
  }

  #endIn(call: Call, time: number): void {
    this.#clock.clearTimeout(call.timer);
    call.timer = this.#clock.setTimeout(call.over.resolve, time);
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#idle);
    for (const { over } of this.#calls) over.resolve();
  }
}
