import type { Capabilities } from '@ambus/core';

/** What core joins into one call. Larger ones would only hold up everybody else in the process for longer. */
const MAX_BATCH = 10_000;

/** Nothing in memory limits headers; this is what the servers of the other brokers are generous at. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * @param maxBodyBytes - bytes
 * @param lease - milliseconds
 */
export function capabilities(maxBodyBytes: number, lease: number): Capabilities {
  return Object.freeze({
    durable: 'native',
    ephemeral: 'native',
    wildcards: 'native',
    replay: 'native',
    replayFromDate: 'native',
    delay: 'native',
    cancel: 'native',
    retryDelay: 'native',
    priority: 'native',
    keyOrder: 'native',
    deduplication: 'native',
    transactions: 'none',
    // Core counts what has expired, so it has to see it.
    expiry: 'none',
    request: 'native',
    noResponders: 'native',
    leases: 'native',
    browse: 'native',
    admin: 'native',
    limits: Object.freeze({
      maxBodyBytes,
      maxHeaderBytes: MAX_HEADER_BYTES,
      maxNativeDelay: Number.POSITIVE_INFINITY,
      maxBatch: MAX_BATCH,
      lease,
    }),
  } as const);
}
