import type { Retention } from '@ambus/core';

/** By what rules a publisher's records are taken. */
export interface Origin {
  /** Whether missing topics and groups are made. */
  readonly create: boolean;
  /** Bytes. */
  readonly maxMessageBytes: number;
  /** Records that may wait in any one queue. */
  readonly maxQueueSize: number;
  /** Milliseconds that a deduplication key is remembered. */
  readonly deduplicationWindow: number;
  retention(topic: string): Retention;
}

/** A producer that knows nothing of the bus: nothing is configured, nothing is refused. */
export const FOREIGN: Origin = Object.freeze({
  create: true,
  maxMessageBytes: Number.POSITIVE_INFINITY,
  maxQueueSize: Number.POSITIVE_INFINITY,
  deduplicationWindow: 0,
  retention: () => ({}),
});
