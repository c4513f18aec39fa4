/** What a bus has done since it was made. Counts only grow. */
export interface BusStats {
  /** Messages that the broker accepted. */
  readonly published: number;
  /** Messages that came from the broker, repetitions included. */
  readonly delivered: number;
  /** Handlers that succeeded. */
  readonly handled: number;
  /** Handlers that failed. */
  readonly failed: number;
  /** Messages that were acked and whose ack the broker accepted. */
  readonly acked: number;
  /** Retries that were asked for. */
  readonly retried: number;
  /** Dead letters that were stored. */
  readonly deadLettered: number;
  /** Not handled because their `ttl` had passed. */
  readonly expired: number;
  /** Not handled because a filter did not let them through. */
  readonly filtered: number;
  /** Given up: at most once, or dead letters switched off. */
  readonly dropped: number;
  /** Leases that ended while a handler ran, and settlements that came too late. A handler's timeout is not counted. */
  readonly leasesLost: number;
  /** Requests that were sent; of `requestFirst` one for each topic. */
  readonly requests: number;
  /** Answers that were given, errors included. */
  readonly replies: number;
  /** Answers that came when nobody waited for them any more. */
  readonly lateReplies: number;
  /** Publishes that the broker has not answered yet. */
  readonly unconfirmed: number;
  /** Handlers that run now. */
  readonly running: number;
  /** Messages in memory that wait for a handler. */
  readonly waiting: number;
  /** Subscriptions that are open; responders, streams and what `receive` pulls through included. */
  readonly subscriptions: number;
}

/** The counters; the rest of `BusStats` is looked up when asked for. */
export type Stats = {
  -readonly [K in Exclude<keyof BusStats, 'unconfirmed' | 'running' | 'waiting' | 'subscriptions'>]: number;
};

export function newStats(): Stats {
  return {
    published: 0,
    delivered: 0,
    handled: 0,
    failed: 0,
    acked: 0,
    retried: 0,
    deadLettered: 0,
    expired: 0,
    filtered: 0,
    dropped: 0,
    leasesLost: 0,
    requests: 0,
    replies: 0,
    lateReplies: 0,
  };
}
