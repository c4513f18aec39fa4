import type { Clock, Timer } from '../clock.ts';
import { type BusError, ClosedError } from '../errors.ts';
import type { Message } from './message.ts';
import type { Subscription } from './subscription.ts';
import { UNSEEN } from './unseen.ts';

/**
 * Messages as an async iterable. Ends when it is left, when its signal fires, or when its bus closes; throws what its
 * subscription failed with.
 */
export interface MessageStream<T> extends AsyncIterableIterator<Message<T>>, AsyncDisposable {
  [Symbol.asyncIterator](): MessageStream<T>;
}

/** What a stream needs of its subscription. */
export type StreamSource = Pick<Subscription, 'pause' | 'resume' | 'unsubscribe'>;

/** A message that is there to be taken. */
interface Offer<T> {
  readonly message: Message<T>;
  readonly done: PromiseWithResolvers<void>;
  timer: Timer | undefined;
}

/**
 * Pulls messages through a subscription one at a time. A message is acked when the next one is asked for; the last one,
 * when the loop is left by `break` or by an error, is not (the two look alike from here), and comes again to the group.
 *
 * @param handlerTimeout - milliseconds that a message may take, from when it was taken, and that it waits for that
 * @param open - subscribes with the given handler; called with the first message asked for
 */
export function openStream<T>(
  clock: Clock,
  handlerTimeout: number,
  open: (handle: (message: Message<T>) => Promise<void>) => Promise<StreamSource>,
): {
  readonly stream: MessageStream<T>;
  /** Ends the stream from outside: the loop ends, with the error if there is one. */
  readonly end: (error?: BusError) => void;
} {
  let source: Promise<StreamSource> | undefined;
  let ended = false;
  /** Messages offered and not yet taken; there are as many as the subscription's concurrency allows. */
  const offered: Offer<T>[] = [];
  const waiting: PromiseWithResolvers<IteratorResult<Message<T>>>[] = [];
  let current: PromiseWithResolvers<void> | undefined;

  /** Nobody asks for messages, so others of the group have the time for them. */
  let isResting = false;

  const take = (offer: Offer<T>): IteratorResult<Message<T>> => {
    clock.clearTimeout(offer.timer);
    current = offer.done;
    offer.message.extend(handlerTimeout);
    return { done: false, value: offer.message };
  };
  const handle = (message: Message<T>): Promise<void> => {
    const offer: Offer<T> = { message, done: Promise.withResolvers(), timer: undefined };
    const next = waiting.shift();
    if (next === undefined) {
      offered.push(offer);
      wait(offer);
    } else {
      next.resolve(take(offer));
    }
    return offer.done.promise;
  };
  const wait = (offer: Offer<T>): void => {
    // Acked already, it can only wait here.
    if (offer.message.delivery === 'at-most-once' || handlerTimeout === Number.POSITIVE_INFINITY) return;
    // Its time begins when it is taken.
    offer.message.extend(Number.POSITIVE_INFINITY);
    offer.timer = clock.setTimeout(() => void rest(), handlerTimeout);
  };
  const rest = async (): Promise<void> => {
    isResting = true;
    const opened = await source;
    // Paused first, or what is given back would come again right here.
    await opened?.pause().catch(() => {});
    if (isResting) giveBack();
  };
  const giveBack = (): void => {
    for (const { done, timer } of offered.splice(0)) {
      clock.clearTimeout(timer);
      done.reject(UNSEEN);
    }
  };
  let failure: BusError | undefined;
  const over = (): IteratorResult<Message<T>> => {
    const error = failure;
    failure = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  };
  const end = (error?: BusError): void => {
    if (ended) return;
    ended = true;
    failure = error;
    const left = new ClosedError('the stream was left before the message was acked');
    current?.reject(left);
    giveBack();
    for (const next of waiting.splice(0)) {
      if (error === undefined) next.resolve({ done: true, value: undefined });
      else next.reject(error);
    }
  };

  const stream: MessageStream<T> = {
    async next() {
      current?.resolve();
      current = undefined;
      if (ended) return over();
      source ??= open(handle);
      // It may end while it is being opened: by its signal, or because the bus closes.
      const opened = await source.catch((error: unknown) => {
        if (!ended) throw error;
      });
      if (ended) {
        // Nobody else would take it away.
        await opened?.unsubscribe();
        return over();
      }
      if (isResting) opened?.resume();
      isResting = false;
      const offer = offered.shift();
      if (offer !== undefined) return take(offer);
      const next = Promise.withResolvers<IteratorResult<Message<T>>>();
      waiting.push(next);
      return next.promise;
    },
    async return() {
      // Unsubscribed first, or what is given back would come again right here.
      const unsubscribed = (await source)?.unsubscribe();
      end();
      await unsubscribed;
      return { done: true, value: undefined };
    },
    async throw(error: unknown) {
      await stream.return!();
      throw error;
    },
    [Symbol.asyncIterator]: () => stream,
    async [Symbol.asyncDispose]() {
      await stream.return!();
    },
  };
  return { stream, end };
}
