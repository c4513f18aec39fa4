import type { Capabilities } from '@ambus/core';

/** Of a server with its default `max_payload`, what is left for a body beside headers and metadata. */
const ROOM_FOR_METADATA = 24 * 1024;

/** The application's headers may take this much of what is left; escaping can treble an odd one. */
const MAX_HEADER_BYTES = 6 * 1024;

/** Records of one call: large enough to fill the wire, small enough that one reply inbox holds few of them. */
const MAX_BATCH = 1_000;

/**
 * @param maxPayload - bytes of the server's `max_payload`
 * @param lease - milliseconds
 */
export function capabilities(maxPayload: number, lease: number): Capabilities {
  return Object.freeze({
    durable: 'native',
    ephemeral: 'native',
    wildcards: 'native',
    replay: 'native',
    replayFromDate: 'native',
    delay: 'native',
    cancel: 'native',
    retryDelay: 'native',
    priority: 'emulated',
    keyOrder: 'emulated',
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
      maxBodyBytes: maxPayload - ROOM_FOR_METADATA,
      maxHeaderBytes: MAX_HEADER_BYTES,
      maxNativeDelay: Number.POSITIVE_INFINITY,
      maxBatch: MAX_BATCH,
      lease,
    }),
  } as const);
}
