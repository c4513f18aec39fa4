import { abortSignal, type Check, date, milliseconds, oneOf, type Spec, text } from '../config/check.ts';
import type { Headers, PriorityLevel } from '../envelope/record.ts';
import { encodeRetry, type RetryOptions, retryOption } from '../retry/policy.ts';
import { type CompressOption, compressProblem } from '../serializer/compression.ts';
import { describe } from '../topic/topic.ts';

/** Ranks in a backlog, the most urgent first. */
export const PRIORITIES = ['critical', 'high', 'normal', 'low', 'background'] as const;
/** Name of a rank, from the most urgent to the least. */
export type Priority = (typeof PRIORITIES)[number];

/** How hard the bus tries. See the page on delivery guarantees. */
export type DeliveryMode = 'at-least-once' | 'at-most-once' | 'exactly-once';

/** What goes with a message. Everything may be left out. */
export interface PublishOptions {
  /** The application's own headers. Names are not empty; both are well-formed Unicode, within the broker's `maxHeaderBytes`. */
  readonly headers?: Headers | undefined;
  /** Messages of one key are handled in publish order, one at a time, within each group. 1 to 256 characters. */
  readonly key?: string | undefined;
  /** Default: a new UUID v7. 1 to 128 characters. */
  readonly id?: string | undefined;
  /** What the message is, as CloudEvents means it. Default: the topic. */
  readonly type?: string | undefined;
  /** Who publishes. Default: the bus's `source`. */
  readonly source?: string | undefined;
  /** Ties the messages of one conversation together. Default: none, or the handled message's in `msg.publish`. */
  readonly correlationId?: string | undefined;
  /** The message that caused this one. Default: none, or the handled message in `msg.publish`. */
  readonly causationId?: string | undefined;
  /** A name, or its level from 0 (critical) to 4 (background). Default `normal`. */
  readonly priority?: Priority | PriorityLevel | undefined;
  /** Milliseconds after which the message is not handled any more, counted from when it is due. At least 1. Default: the topic's. */
  readonly ttl?: number | undefined;
  /** Milliseconds before anybody gets it. Not together with `deliverAt`. */
  readonly delay?: number | undefined;
  /** Before this nobody gets it. A time in the past means at once. */
  readonly deliverAt?: Date | undefined;
  /**
   * `at-most-once`: acked before it is handled, never retried. `exactly-once`: a second publish with the same
   * `idempotencyKey` on this topic is dropped within the bus's `deduplicationWindow`; durable topics only. Default
   * `at-least-once`.
   */
  readonly delivery?: DeliveryMode | undefined;
  /** For `exactly-once`. Default: `id`, where that is given. 1 to 256 characters. */
  readonly idempotencyKey?: string | undefined;
  /** Takes precedence over the subscription's and the bus's. `retryOn` can only hold codes and names: it travels along. */
  readonly retry?: RetryOptions | false | undefined;
  /** Compresses the body where that makes it smaller. Default: the bus's `compress`. */
  readonly compress?: CompressOption | undefined;
  /** CloudEvents `dataschema`: a URI. */
  readonly dataSchema?: string | undefined;
  /** W3C Trace Context. */
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  /** Gives up waiting. What was handed to the broker may be accepted all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** What is allowed where `value` cannot be sent as headers. */
export const headers: Check = (value) => {
  const prototype: unknown =
    typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined;
  // What a Map, or the Headers of fetch, holds would silently not be sent.
  if (prototype !== Object.prototype && prototype !== null) return 'a plain object of strings';
  for (const [name, content] of Object.entries(value as object)) {
    if (name === '') return 'an object without empty names';
    if (typeof content !== 'string')
      return `an object of strings (header ${describe(name)} is ${describe(content)})`;
    if (!name.isWellFormed() || !content.isWellFormed()) {
      return `well-formed Unicode (header ${describe(name)} has a lone surrogate)`;
    }
  }
  return undefined;
};

/** Sum of names and values in bytes of UTF-8. */
export function headerBytes(value: Headers): number {
  let sum = 0;
  for (const name in value) sum += Buffer.byteLength(name) + Buffer.byteLength(value[name]!);
  return sum;
}

const retry: Check = (value) => {
  const allowed = retryOption(value);
  if (allowed !== undefined) return allowed;
  if ((value as RetryOptions).order !== undefined)
    return 'without "order", which is the subscription\'s to choose';
  try {
    encodeRetry(value as RetryOptions | false);
    return undefined;
  } catch (error) {
    return `something that can travel (${(error as Error).message})`;
  }
};

/** The checks of `PublishOptions`. */
export const PUBLISH_SPEC: Spec<PublishOptions> = {
  headers,
  key: text(256),
  id: text(128),
  type: text(),
  source: text(),
  correlationId: text(256),
  causationId: text(256),
  priority: oneOf(...PRIORITIES, 0, 1, 2, 3, 4),
  ttl: milliseconds(1),
  delay: milliseconds(0),
  deliverAt: date,
  delivery: oneOf('at-least-once', 'at-most-once', 'exactly-once'),
  idempotencyKey: text(256),
  retry,
  compress: (value) => compressProblem(value),
  dataSchema: text(),
  traceparent: text(),
  tracestate: text(),
  signal: abortSignal,
};

/** The level of a priority given either way. */
export function priorityLevel(priority: Priority | PriorityLevel | undefined): PriorityLevel {
  if (priority === undefined) return 2;
  return typeof priority === 'number' ? priority : (PRIORITIES.indexOf(priority) as PriorityLevel);
}
