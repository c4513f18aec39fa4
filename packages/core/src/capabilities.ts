/**
 * How a broker offers a feature: by the server itself, by the broker package over what the server has, or not at all.
 * Using a feature that is `none` fails with an `UnsupportedError` before anything is sent.
 */
export type Support = 'native' | 'emulated' | 'none';

/** What a broker can do, as frozen data: the runtime, the conformance suite and the docs all read this one object. */
export interface Capabilities {
  /** Topics stored by the broker, with groups whose position the broker keeps. */
  readonly durable: Support;
  /** Topics that live only in flight. */
  readonly ephemeral: Support;
  /** Patterns with `*` and `#`. */
  readonly wildcards: Support;
  /** `from: 'earliest'`. */
  readonly replay: Support;
  /** `from: Date`. */
  readonly replayFromDate: Support;
  /** Publishing with `delay` or `deliverAt`. */
  readonly delay: Support;
  /** Taking a delayed message back before it is due. */
  readonly cancel: Support;
  /** Holding a nacked message outside the process until its retry is due. */
  readonly retryDelay: Support;
  /** A higher priority overtakes in a backlog. */
  readonly priority: Support;
  /** Messages of one key are handled in order across the members of a group. */
  readonly keyOrder: Support;
  /** Dropping a second publish with the same idempotency key within the window. */
  readonly deduplication: Support;
  /** What a handler publishes is stored together with its message's ack, or not at all. */
  readonly transactions: Support;
  /** Dropping expired messages on the server (core checks expiry on arrival everywhere). */
  readonly expiry: Support;
  /** Requests and replies. */
  readonly request: Support;
  /** Knowing at once that nobody answers a request. */
  readonly noResponders: Support;
  /** An unsettled message is handed to another member when its consumer dies. */
  readonly leases: Support;
  /** Reading a topic without consuming it, and removing single records: what dead letters are managed with. */
  readonly browse: Support;
  /** Creating, listing and deleting topics and groups, depth and purge. */
  readonly admin: Support;
  readonly limits: Limits;
}

/** Numbers that go with the capabilities. `Infinity` where there is no limit. */
export interface Limits {
  /** Largest body after compression, in bytes, that always fits together with headers up to `maxHeaderBytes`. */
  readonly maxBodyBytes: number;
  /** Largest sum of the application's header names and values, in bytes of UTF-8. */
  readonly maxHeaderBytes: number;
  /** Longest delay that the server holds by itself, in milliseconds; longer ones are the broker package's emulation. */
  readonly maxNativeDelay: number;
  /** Most records that go to the server in one call. Core never hands over more at once. */
  readonly maxBatch: number;
  /** Milliseconds after which a dead consumer's messages go to another member, at most. */
  readonly lease: number;
}

/** The features of `Capabilities`, without the limits. */
export type Feature = Exclude<keyof Capabilities, 'limits'>;
