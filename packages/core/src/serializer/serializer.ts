import type { Headers } from '../envelope/record.ts';

/** What a serializer may look at. */
export interface SerializerContext {
  readonly topic: string;
  readonly headers: Headers;
}

/**
 * Turns payloads into bytes and back. The content type on the message picks the serializer on arrival, so the services
 * of a fleet can change theirs one at a time.
 *
 * What it throws reaches the publisher as a `SerializationError`, or sends the message to the dead letters on arrival.
 * One of the bus's own errors that is retryable, and a `ConnectionError`, says that something is out of reach for now: the
 * publisher gets it as it is, and a message that arrived comes again later, however often, and is not dead-lettered for it.
 * Both directions may be asynchronous (a schema registry); a plain return value is the fast way.
 */
export interface Serializer {
  /**
   * Goes with the message as its `datacontenttype`. Of several of one type, a topic's messages are read with its own, else
   * with the bus's, else with that of another topic, else with the last of the bus's `serializers`.
   */
  readonly contentType: string;
  serialize(data: unknown, context: SerializerContext): Uint8Array | Promise<Uint8Array>;
  deserialize(body: Uint8Array, context: SerializerContext): unknown;
}
