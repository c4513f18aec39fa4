import { type CircuitBreakerOptions, circuitBreakerOption } from '../breaker/circuit-breaker.ts';
import type { StartPosition } from '../broker.ts';
import {
  abortSignal,
  boolean,
  type Check,
  date,
  either,
  integer,
  milliseconds,
  oneOf,
  options,
  type Spec,
  without,
} from '../config/check.ts';
import { type DeadLetterOptions, deadLetterOption } from '../dead-letter/options.ts';
import type { DeliveryMode } from '../publish/options.ts';
import { type RetryOptions, retryOption } from '../retry/policy.ts';
import { groupProblem } from '../topic/topic.ts';
import { type Filter, filterOption } from './filter.ts';
import type { Message } from './message.ts';

/** A handler as the bus runs it, middleware included. */
export type ConsumeMessage = (message: Message) => unknown;

/** Handles one message. In auto mode it is acked when this returns or resolves, and failed when it throws or rejects. */
export type Handler<T> = (message: Message<T>) => unknown;

/** Handles several messages. Those it has not settled itself are acked when it resolves, and failed when it rejects. */
export type BatchHandler<T> = (messages: readonly Message<T>[]) => unknown;

/** Collects messages for a batch handler. */
export interface BatchAck {
  /** Most messages in a batch, 1 to 10,000. */
  readonly batch: number;
  /** Milliseconds that the first message of a batch waits for more. Default 50. */
  readonly maxWait?: number | undefined;
}

/** `auto`: settled by the handler's outcome. `manual`: by `msg.ack()` and its sisters. `{ batch }`: a batch handler. */
export type AckMode = 'auto' | 'manual' | BatchAck;

/** How a subscription consumes. Everything may be left out. */
export interface SubscribeOptions<T = unknown> {
  /**
   * Competing consumers under one name: each message goes to one member, and the position is kept while none is up.
   * Default: none; the subscription is live and gets its own copy of everything.
   */
  readonly group?: string | undefined;
  /** Handlers that run at a time, 1 to 10,000. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Most unsettled messages held in memory, 1 to 100,000, and at least a batch. Default: twice the concurrency, at least 64;
   * with batches also at least `4 * batch * concurrency`, and 100,000 at most.
   */
  readonly prefetch?: number | undefined;
  /** Default `auto`. */
  readonly ack?: AckMode | undefined;
  /** Messages that do not pass are acked unhandled. */
  readonly filter?: Filter<T> | undefined;
  /** Default: the bus's. */
  readonly retry?: RetryOptions | false | undefined;
  /** Default: the bus's. `false` drops what failed for good, with an event. */
  readonly deadLetter?: DeadLetterOptions | false | undefined;
  /** Default: the bus's. */
  readonly circuitBreaker?: CircuitBreakerOptions | false | undefined;
  /**
   * Milliseconds until a message must be settled, counted from when its handler starts; then its `signal` fires and it
   * counts as failed. Its lease is renewed until then. Default 300,000 (5 minutes); `Infinity` for no limit.
   */
  readonly handlerTimeout?: number | undefined;
  /** Short for `retry.order`. */
  readonly order?: 'skip' | 'block' | undefined;
  /**
   * Where a new group, or a live subscription, starts: `new`, `earliest`, or a date, which must have passed. A group that
   * exists goes on where it was. Default `new`.
   */
  readonly from?: StartPosition | undefined;
  /**
   * `at-most-once`: acked before the handler runs, never retried. `exactly-once`: only checks that the broker drops
   * duplicates (`capabilities.deduplication`); which ones is the publisher's to say. Default `at-least-once`.
   */
  readonly delivery?: DeliveryMode | undefined;
  /**
   * What the handler publishes with `msg.publish` is stored together with the message's ack or not at all, and others see
   * it only then: a failed attempt publishes nothing. Needs a `group`, durable topics and `capabilities.transactions`; not
   * together with `at-most-once`. Default `false`.
   */
  readonly transaction?: boolean | undefined;
  /** Unsubscribes when it fires. */
  readonly signal?: AbortSignal | undefined;
}

const batch: Check = options<BatchAck>({ batch: integer(1, 10_000), maxWait: milliseconds(0) });

const ack: Check = (value) =>
  value === 'auto' || value === 'manual'
    ? undefined
    : (value as BatchAck)?.batch === undefined
      ? '"auto", "manual" or { batch, maxWait }'
      : batch(value);

/** A check for durations that may be endless. */
export const timeout: Check = (value) =>
  value === Number.POSITIVE_INFINITY ? undefined : milliseconds(1)(value);

export const from: Check = either(oneOf('new', 'earliest'), date);

export const group: Check = without(groupProblem);

/** The checks of `SubscribeOptions`. */
export const SUBSCRIBE_SPEC: Spec<SubscribeOptions> = {
  group,
  concurrency: integer(1, 10_000),
  prefetch: integer(1, 100_000),
  ack,
  filter: filterOption,
  retry: retryOption,
  deadLetter: deadLetterOption,
  circuitBreaker: circuitBreakerOption,
  handlerTimeout: timeout,
  order: oneOf('skip', 'block'),
  from,
  delivery: oneOf('at-least-once', 'at-most-once', 'exactly-once'),
  transaction: boolean,
  signal: abortSignal,
};

const { ack: _, concurrency: __, ...forStreams } = SUBSCRIBE_SPEC;

/** The checks of a stream's options: it acks by itself, and hands out one message at a time. */
export const STREAM_SPEC: Spec<Omit<SubscribeOptions, 'ack' | 'concurrency'>> = forStreams;
