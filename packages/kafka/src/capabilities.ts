import type { Capabilities } from '@ambus/core';

/** What core joins into one call; the publisher cuts it to the size of the server's requests. */
const MAX_BATCH = 5_000;

/** The application's headers. What the bus and a retry add finds room beside them. */
export const MAX_HEADER_BYTES: number = 64 * 1024;

/**
 * @param maxBodyBytes - bytes
 * @param lease - milliseconds
 */
export function capabilities(maxBodyBytes: number, lease: number): Capabilities {
  return Object.freeze({
    durable: 'native',
    ephemeral: 'emulated',
    wildcards: 'emulated',
    replay: 'native',
    replayFromDate: 'native',
    delay: 'emulated',
    cancel: 'emulated',
    retryDelay: 'emulated',
    priority: 'emulated',
    keyOrder: 'native',
    deduplication: 'emulated',
    transactions: 'native',
    expiry: 'none',
    request: 'emulated',
    // A responder is a reader of a topic like any other, and a topic does not know its readers.
    noResponders: 'none',
    leases: 'native',
    browse: 'emulated',
    admin: 'native',
    limits: Object.freeze({
      maxBodyBytes,
      maxHeaderBytes: MAX_HEADER_BYTES,
      // All of it is emulated, and to any length.
      maxNativeDelay: Number.POSITIVE_INFINITY,
      maxBatch: MAX_BATCH,
      lease,
    }),
  } as const);
}
