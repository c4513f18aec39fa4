import type { Clock } from '../clock.ts';
import { checkArgument, checkOptions, integer, milliseconds, type Spec } from '../config/check.ts';
import { ClosedError } from '../errors.ts';
import type { Consumer } from './consumer.ts';
import type { Message } from './message.ts';
import { from, group, SUBSCRIBE_SPEC, type SubscribeOptions } from './options.ts';

/** How messages are pulled. */
export interface ReceiveOptions
  extends Pick<SubscribeOptions, 'from' | 'handlerTimeout' | 'retry' | 'deadLetter'> {
  /** Whose position it is. Needed: between two calls a subscription without one would miss what is published. */
  readonly group: string;
  /** Most messages, 1 to 10,000. Default 1. */
  readonly max?: number | undefined;
  /** Milliseconds to wait for the first message. Default 5,000; 0 takes what is there. */
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

/** Most unsettled messages of one puller: calls for more have a puller of their own, so that small ones do not hoard. */
export function capacity(max: number): number {
  return max <= 100 ? 100 : max <= 1_000 ? 1_000 : 10_000;
}

export function checkReceive(options: unknown): asserts options is ReceiveOptions {
  checkOptions('receive option', options, RECEIVE_SPEC);
  checkArgument('receive option "group"', (options as ReceiveOptions | undefined)?.group, group);
}

type Open = (room: number, handle: (message: Message) => void, failed: () => void) => Promise<Consumer>;

/**
 * Messages of one group and pattern, pulled instead of pushed. The consumer behind it stays between calls, paused,
 * so the group has one member and messages that were handed out can be settled. It fetches what a call asks for and no more:
 * what would have to be given back costs round trips, and on some brokers money.
 */
export class Puller {
  readonly #clock: Clock;
  readonly #open: Open;
  #consumer: Promise<Consumer> | undefined;
  /** Calls run one after the other: each message goes to one. */
  #queue: Promise<unknown> = Promise.resolve();
  #wanted = 0;
  #got: Message[] = [];
  #arrived: (() => void) | undefined;
  #closed = false;

  /** @param open - subscribes in manual mode with `mayRun`; called again when the consumer has ended by itself */
  constructor(clock: Clock, open: Open) {
    this.#clock = clock;
    this.#open = open;
  }

  /** Up to `max` messages; none when none came within `timeout` milliseconds. They are to be settled by hand. */
  receive(max: number, timeout: number, signal: AbortSignal | undefined): Promise<Message[]> {
    const result = this.#queue.then(() => this.#receive(max, timeout, signal));
    this.#queue = result.catch(() => {});
    return result;
  }

  async #receive(max: number, timeout: number, signal: AbortSignal | undefined): Promise<Message[]> {
    if (this.#closed) throw new ClosedError('the bus is closed');
    this.#got = [];
    this.#wanted = max;
    // One that ended by itself is made anew.
    const forget = (): void => {
      this.#consumer = undefined;
    };
    this.#consumer ??= this.#open(max, (message) => this.#take(message), forget).catch((error: unknown) => {
      forget();
      throw error;
    });
    const consumer = await this.#consumer;
    consumer.resume(max);
    await this.#until(
      () => this.#got.length > 0 || signal?.aborted === true,
      Math.max(timeout, GLANCE),
      signal,
    );
    if (this.#got.length > 0 && this.#got.length < max) {
      await this.#until(() => this.#got.length >= max, LINGER);
    }
    this.#wanted = 0;
    await consumer.pause();
    return this.#got;
  }

  #take(message: Message): void {
    this.#got.push(message);
    this.#arrived?.();
  }

  /** Whether one more may be taken in while `running` others are on their way: what is beyond stays with the broker. */
  readonly mayRun = (running: number): boolean => this.#got.length + running < this.#wanted;

  /** Resolves when `enough` holds, after `timeout` milliseconds, or when closed. */
  #until(enough: () => boolean, timeout: number, signal?: AbortSignal): Promise<void> {
    if (enough() || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#arrived = undefined;
        this.#clock.clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      signal?.addEventListener('abort', done, { once: true });
      const timer = this.#clock.setTimeout(done, timeout);
      this.#arrived = () => {
        if (enough() || this.#closed) done();
      };
    });
  }

  close(): void {
    this.#closed = true;
    this.#arrived?.();
  }
}
