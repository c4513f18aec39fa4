import type { Capabilities } from '@ambus/core';

/** What core joins into one call: one script, during which the server does nothing else. 2,000 take it a few milliseconds. */
const MAX_BATCH = 2_000;

/** The server has no limit of its own below 512 MB; this is what the other brokers are generous at. */
const MAX_HEADER_BYTES = 64 * 1024;

/**
 * @param maxBodyBytes - bytes
 * @param lease - milliseconds
 */
export function capabilities(maxBodyBytes: number, lease: number): Capabilities {
  return Object.freeze({
    durable: 'native',
    ephemeral: 'native',
    wildcards: 'emulated',
    replay: 'native',
    replayFromDate: 'native',
    delay: 'emulated',
    cancel: 'emulated',
    retryDelay: 'emulated',
    priority: 'emulated',
    keyOrder: 'emulated',
    deduplication: 'emulated',
    transactions: 'none',
    // Core counts what has expired, so it has to see it.
    expiry: 'none',
    request: 'native',
    noResponders: 'emulated',
    leases: 'emulated',
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
