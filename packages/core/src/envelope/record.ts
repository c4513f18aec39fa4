/**
 * The way a record travels. A topic is either durable or ephemeral (the bus's `topics` option says which); requests
 * and replies have ways of their own, because nobody wants a request that outlived its deadline to be stored.
 *
 * - `durable`: stored by the broker until every group has settled it, and for the topic's retention.
 * - `ephemeral`: lives only in flight; whoever is not listening misses it.
 * - `request`: like `ephemeral`, to responders only; the broker may know at once that there are none.
 * - `reply`: to one inbox; `topic` then holds the inbox's address.
 */
export type Channel = 'durable' | 'ephemeral' | 'request' | 'reply';

/** Rank of a message in a backlog: 0 critical, 1 high, 2 normal, 3 low, 4 background. */
export type PriorityLevel = 0 | 1 | 2 | 3 | 4;

/** Header names and values as the application sees them: both strings, names case-sensitive. */
export type Headers = Readonly<Record<string, string>>;

/**
 * What core hands to a broker and gets back from it: one message in its wire form, and nothing decoded.
 *
 * Times are milliseconds since the epoch. A broker carries every field that is set, and may implement any of them as a
 * getter that decodes on demand; `envelope/attributes.ts` says how each is named on the wire.
 */
export interface BusRecord {
  readonly id: string;
  readonly topic: string;
  readonly channel: Channel;
  /** The serialized payload and nothing else. Neither side writes into it after handing it over. */
  readonly body: Uint8Array;
  /** When it was published. */
  readonly time: number;
  /** The application's own headers, frozen. */
  readonly headers: Headers | undefined;
  /** Messages of one key are handled in order. */
  readonly key: string | undefined;
  readonly priority: PriorityLevel;
  readonly source: string | undefined;
  readonly type: string | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly dataSchema: string | undefined;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  /** Address of the inbox that waits for an answer (`Inbox.address`). */
  readonly replyTo: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** Not to be handled after this. Core checks it; a broker may drop such a record earlier. */
  readonly expiresAt: number | undefined;
  /** Not to be delivered before this. */
  readonly deliverAt: number | undefined;
  /** A second record of this topic with the same key within the window is accepted and dropped. */
  readonly deduplicationKey: string | undefined;
  /** The rest is core's own business on the consuming side; a broker carries it and does not look. */
  readonly extensions: Extensions | undefined;
}

/** Rare, protocol-level attributes; each is one CloudEvents extension attribute on the wire. */
export interface Extensions {
  /** `at-most-once`: ack before handling. */
  readonly delivery?: 'at-most-once' | 'exactly-once' | undefined;
  /** The publisher's own retry policy, as JSON. */
  readonly retry?: string | undefined;
  /** Only this consumer handles the record (`consumerId`); the others ack it unseen. Set by a replay. */
  readonly target?: string | undefined;
  /** Why a record lies in the dead letters, as JSON (`DeadLetterInfo`). */
  readonly deadLetter?: string | undefined;
  /** On a reply: the responder's error as JSON. */
  readonly error?: string | undefined;
  /** On a reply: which group, or which ungrouped responder, answers. */
  readonly responder?: string | undefined;
}
