import { BusError, ConnectionError, SerializationError } from '../errors.ts';
import { decompress } from '../serializer/compression.ts';
import type { SerializerRegistry } from '../serializer/registry.ts';
import type { Serializer, SerializerContext } from '../serializer/serializer.ts';
import type { TopicTable } from '../topic/table.ts';
import { validatePayload } from '../topic/validate.ts';
import type { IncomingMessage } from './message.ts';

/** What decoding needs of the bus. */
export interface Decoding {
  readonly topics: TopicTable;
  readonly serializers: SerializerRegistry;
  /** Most bytes that a compressed body may grow to. */
  readonly maxDecompressedBytes: number;
}

/**
 * Fills in `message.data`. Asynchronous only where compression, the serializer or the schema is. A dead letter that cannot
 * be decoded has none.
 *
 * @param asked - the topic of the request that it answers: an answer's own is an address
 * @throws {SerializationError | ValidationError} also as a rejection; another try cannot help either, unless `isOutage`
 */
export function decode(message: IncomingMessage, decoding: Decoding, asked?: string): void | Promise<void> {
  if (message.record.extensions?.deadLetter === undefined) return decodeBody(message, decoding, asked);
  // Bytes that cannot be decoded are one reason to lie in the dead letters: whoever handles them there gets the bytes.
  try {
    return decodeBody(message, decoding)?.catch(unlessOutage);
  } catch (error) {
    return unlessOutage(error);
  }
}

/**
 * Whether decoding failed for what a serializer needs and could not reach, such as a schema registry: this says nothing
 * about the message. Refused credentials are no fault of the message either, although trying again may not help.
 */
export const isOutage = (error: unknown): boolean =>
  BusError.is(error) && (error.retryable || ConnectionError.is(error));

function unlessOutage(error: unknown): void {
  if (isOutage(error)) throw error;
}

function decodeBody(message: IncomingMessage, decoding: Decoding, asked?: string): void | Promise<void> {
  const { contentEncoding } = message.record;
  if (contentEncoding === undefined) return deserialize(message, decoding, asked);
  return decompress(contentEncoding, message.record.body, decoding.maxDecompressedBytes).then((body) => {
    message.decompressed = body;
    return deserialize(message, decoding, asked);
  });
}

function deserialize(message: IncomingMessage, decoding: Decoding, asked?: string): void | Promise<void> {
  const { record } = message;
  const context = contextOf(message, asked);
  const serializer = serializerOf(context.topic, record.contentType, decoding);
  // A copy: the handler may write into what it gets, and `body` is for the next attempt, the dead letter, and others.
  if (serializer === undefined) return accept(message, new Uint8Array(message.bytes), decoding);
  let data: unknown;
  try {
    data = serializer.deserialize(message.bytes, context);
  } catch (error) {
    throw undecodable(asked ?? record.topic, error);
  }
  if (!(data instanceof Promise)) return accept(message, data, decoding);
  return data.then(
    (settled) => accept(message, settled, decoding),
    (error: unknown) => {
      throw undecodable(asked ?? record.topic, error);
    },
  );
}

/** The one that the topic is written with, where it is of this type: two topics may have two of one type. */
function serializerOf(
  topic: string,
  contentType: string | undefined,
  { topics, serializers }: Decoding,
): Serializer | undefined {
  const { serializer } = topics.get(topic);
  return serializer.contentType === contentType ? serializer : serializers.find(contentType);
}

function accept(message: IncomingMessage, data: unknown, { topics }: Decoding): void | Promise<void> {
  message.data = data;
  const { record } = message;
  // An answer has no topic, and what did not match its schema lies in the dead letters for that.
  if (record.channel === 'reply' || record.extensions?.deadLetter !== undefined) return;
  const { schema } = topics.get(record.topic);
  if (schema === undefined) return;
  const valid = validatePayload(schema, data, record.topic);
  if (valid instanceof Promise) {
    return valid.then((output: unknown) => {
      message.data = output;
    });
  }
  message.data = valid;
}

/** A message is its own context, but for an answer, and for a dead letter: its body is what was published where it failed. */
function contextOf(message: IncomingMessage, asked: string | undefined): SerializerContext {
  if (asked !== undefined) return { topic: asked, headers: message.headers };
  if (message.record.extensions?.deadLetter === undefined) return message;
  return { topic: message.failure?.topic ?? message.topic, headers: message.headers };
}

function undecodable(topic: string, cause: unknown): BusError {
  if (SerializationError.is(cause) || (BusError.is(cause) && isOutage(cause))) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new SerializationError(`the body cannot be decoded: ${text}`, { topic, cause });
}
