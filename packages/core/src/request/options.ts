import { abortSignal, type Check, integer, milliseconds, type Spec } from '../config/check.ts';
import { headers, PUBLISH_SPEC, type PublishOptions } from '../publish/options.ts';
import { group, timeout } from '../subscribe/options.ts';

/** What goes with a request. */
export interface RequestOptions
  extends Pick<
    PublishOptions,
    | 'headers'
    | 'key'
    | 'id'
    | 'type'
    | 'source'
    | 'correlationId'
    | 'causationId'
    | 'priority'
    | 'compress'
    | 'dataSchema'
    | 'traceparent'
    | 'tracestate'
    | 'signal'
  > {
  /** Milliseconds until it is given up, from when the bus has connected; at least 1. Default: the bus's `requestTimeout`. */
  readonly timeout?: number | undefined;
}

/** How many answers are wanted. */
export interface ScatterOptions extends RequestOptions {
  /** Fewer at the deadline is a `ScatterError` that carries what came. Default 1. */
  readonly min?: number | undefined;
  /** Done as soon as so many have come. Default: as many as come until the deadline. */
  readonly max?: number | undefined;
}

/** How requests are answered. */
export interface RespondOptions {
  /** Responders under one name share the requests; without, each answers each. */
  readonly group?: string | undefined;
  /** Requests handled at a time, 1 to 10,000. Default 100: a responder that waits for another must not hold up the rest. */
  readonly concurrency?: number | undefined;
  /** Most requests held in memory, 1 to 100,000. Default: twice the concurrency, at least 64. */
  readonly prefetch?: number | undefined;
  /** Milliseconds; then the requester gets an error. Default 300,000; `Infinity` for no limit. */
  readonly handlerTimeout?: number | undefined;
  /** Unsubscribes when it fires. */
  readonly signal?: AbortSignal | undefined;
}

const requestTimeout: Check = milliseconds(1);

export const REQUEST_SPEC: Spec<RequestOptions> = {
  headers,
  key: PUBLISH_SPEC.key,
  id: PUBLISH_SPEC.id,
  type: PUBLISH_SPEC.type,
  source: PUBLISH_SPEC.source,
  correlationId: PUBLISH_SPEC.correlationId,
  causationId: PUBLISH_SPEC.causationId,
  priority: PUBLISH_SPEC.priority,
  compress: PUBLISH_SPEC.compress,
  dataSchema: PUBLISH_SPEC.dataSchema,
  traceparent: PUBLISH_SPEC.traceparent,
  tracestate: PUBLISH_SPEC.tracestate,
  signal: abortSignal,
  timeout: requestTimeout,
};

export const SCATTER_SPEC: Spec<ScatterOptions> = { ...REQUEST_SPEC, min: integer(0), max: integer(1) };

export const RESPOND_SPEC: Spec<RespondOptions> = {
  group,
  concurrency: integer(1, 10_000),
  prefetch: integer(1, 100_000),
  handlerTimeout: timeout,
  signal: abortSignal,
};
