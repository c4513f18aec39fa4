import { atMost, type Clock } from '../clock.ts';
import type { Core } from '../core.ts';
import { AbortError, asBusError, type BusError, ClosedError, TimeoutError } from '../errors.ts';
import { Consumer } from './consumer.ts';
import type { Message } from './message.ts';
import type { ConsumerPlan } from './plan.ts';
import { capacity, Puller } from './receive.ts';
import { type MessageStream, openStream } from './stream.ts';
import { type Subscription, toSubscription } from './subscription.ts';

/** Milliseconds that subscriptions may take. */
export interface ConsumerTimes {
  /** To be in place, once the bus has connected; waiting for a connection that was lost included. */
  readonly open: number;
  /** For handlers to end, where nobody says. */
  readonly close: number;
}

/** The subscriptions of a bus, however their messages are taken: pushed, streamed or pulled. */
export class Consumers {
  readonly #core: Core;
  readonly #times: ConsumerTimes;
  readonly #ready: () => Promise<void>;
  /** Each with what stops listening to its caller's signal. */
  readonly #open = new Map<Consumer, () => void>();
  /** Unsubscribed ones whose handlers still run. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #pullers = new Map<string, Puller>();
  readonly #streams = new Set<(error?: BusError) => void>();

  /** @param ready - connects the bus where it is not, and rejects where it is closed */
  constructor(core: Core, times: ConsumerTimes, ready: () => Promise<void>) {
    this.#core = core;
    this.#times = times;
    this.#ready = ready;
  }

  get size(): number {
    return this.#open.size;
  }

  totals(): { running: number; waiting: number; subscriptions: number } {
    const totals = { running: 0, waiting: 0, subscriptions: this.#open.size };
    for (const consumer of this.#open.keys()) {
      totals.running += consumer.running;
      totals.waiting += consumer.waiting;
    }
    return totals;
  }

  /** Resolves when everything published from now on arrives. */
  async subscribe(plan: ConsumerPlan, signal: AbortSignal | undefined): Promise<Subscription> {
    const consumer = await this.#start(plan, signal);
    return toSubscription(consumer, () => this.#leave(consumer));
  }

  async #start(plan: ConsumerPlan, signal?: AbortSignal): Promise<Consumer> {
    await this.#ready();
    const { pattern } = plan;
    if (signal?.aborted) {
      throw new AbortError(`subscribing to "${pattern}" was aborted`, {
        topic: pattern,
        cause: signal.reason,
      });
    }
    const consumer = new Consumer(
      {
        ...plan,
        onFailed: (error) => {
          plan.onFailed?.(error);
          this.#leave(consumer).catch(() => {});
        },
      },
      this.#core,
    );
    const aborted = (): void => void this.#leave(consumer).catch(() => {});
    this.#open.set(consumer, () => signal?.removeEventListener('abort', aborted));
    signal?.addEventListener('abort', aborted, { once: true });
    try {
      await within(this.#core.clock, this.#times.open, consumer.open(), pattern);
    } catch (error) {
      this.#forget(consumer);
      consumer.close(0).catch(() => {});
      throw asBusError(error, { topic: pattern, broker: this.#core.broker.name });
    }
    if (signal?.aborted) {
      throw new AbortError(`subscribing to "${pattern}" was aborted`, {
        topic: pattern,
        cause: signal.reason,
      });
    }
    if (consumer.closed) {
      throw new ClosedError('the bus was closed while it was subscribing', { topic: pattern });
    }
    return consumer;
  }

  #forget(consumer: Consumer): void {
    this.#open.get(consumer)?.();
    this.#open.delete(consumer);
  }

  async #leave(consumer: Consumer): Promise<void> {
    this.#open.get(consumer)?.();
    const left = consumer.close(this.#times.close).finally(() => {
      this.#forget(consumer);
      this.#leaving.delete(left);
    });
    this.#leaving.add(left);
    left.catch(() => {});
    await (consumer.running > 0 ? consumer.stopped() : left);
  }

  /** @param subscribe - called with the stream's handler when its first message is asked for */
  stream<T>(
    subscribe: (
      handle: (message: Message<T>) => Promise<void>,
      failed: (error: BusError) => void,
    ) => Promise<Subscription>,
    handlerTimeout: number,
    signal: AbortSignal | undefined,
  ): MessageStream<T> {
    const { stream, end } = openStream<T>(this.#core.clock, handlerTimeout, async (handle) => {
      const aborted = (): void => stop();
      const forget = (): void => {
        this.#streams.delete(stop);
        signal?.removeEventListener('abort', aborted);
      };
      const stop = (error?: BusError): void => {
        forget();
        end(error);
      };
      // Before it subscribes: what ends it may come meanwhile.
      this.#streams.add(stop);
      signal?.addEventListener('abort', aborted, { once: true });
      try {
        const subscription = await subscribe(handle, stop);
        return {
          pause: () => subscription.pause(),
          resume: () => subscription.resume(),
          unsubscribe: () => {
            forget();
            return subscription.unsubscribe();
          },
        };
      } catch (error) {
        forget();
        throw error;
      }
    });
    return stream;
  }

  /**
   * The puller for calls that are alike.
   *
   * @param key - tells calls apart that cannot share one
   * @param plan - made with the first call
   */
  puller(
    key: string,
    max: number,
    plan: (prefetch: number, handle: (message: Message) => void) => ConsumerPlan,
  ): Puller {
    const prefetch = capacity(max);
    const id = `${prefetch} ${key}`;
    let puller = this.#pullers.get(id);
    if (puller === undefined) {
      const made: Puller = new Puller(
        this.#core.clock,
        (room, handle, onFailed) =>
          this.#start({ ...plan(prefetch, handle), room, mayRun: made.mayRun, onFailed }),
        (consumer) => {
          if (this.#pullers.get(id) === made) this.#pullers.delete(id);
          if (consumer !== undefined) this.#leave(consumer).catch(() => {});
        },
      );
      puller = made;
      this.#pullers.set(id, made);
    }
    return puller;
  }

  /**
   * Closes all, those that are leaving already included. Responders last: a handler that runs to its end may ask one.
   *
   * @param timeout - milliseconds for all of it
   */
  async close(timeout: number): Promise<void> {
    const deadline = this.#core.clock.now() + timeout;
    const consumers = [...this.#open.keys()];
    const isResponder = ({ plan }: Consumer): boolean => plan.channels.includes('request');
    const others = consumers.filter((one) => !isResponder(one)).map((one) => one.close(timeout));
    for (const end of this.#streams) end();
    for (const puller of this.#pullers.values()) puller.close();
    const left = await Promise.allSettled([...others, ...this.#leaving]);
    const rest = Math.max(deadline - this.#core.clock.now(), 0);
    left.push(...(await Promise.allSettled(consumers.filter(isResponder).map((one) => one.close(rest)))));
    for (const consumer of this.#open.keys()) this.#forget(consumer);
    for (const result of left) {
      if (result.status === 'rejected') {
        this.#core.logger.warn({ err: result.reason }, 'a subscription did not close in good order');
      }
    }
  }
}

/** What is not in place by then is given up: its caller must not wait for a connection that may never come back. */
async function within(clock: Clock, timeout: number, opening: Promise<void>, pattern: string): Promise<void> {
  let isOpen = false;
  opening.catch(() => {});
  const opened = opening.then(() => {
    isOpen = true;
  });
  await atMost(clock, opened, timeout);
  if (!isOpen) {
    throw new TimeoutError(`the subscription to "${pattern}" was not in place within ${timeout} ms`, {
      topic: pattern,
    });
  }
}
