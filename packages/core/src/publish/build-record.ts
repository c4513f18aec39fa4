import type { Capabilities, Feature } from '../capabilities.ts';
import type { BusRecord, Channel, Extensions, Headers } from '../envelope/record.ts';
import { uuidv7 } from '../envelope/uuid.ts';
import {
  BusError,
  MessageTooLargeError,
  SerializationError,
  UnsupportedError,
  ValidationError,
} from '../errors.ts';
import { encodeRetry } from '../retry/policy.ts';
import { chooseCompression, compress } from '../serializer/compression.ts';
import { BYTES } from '../serializer/registry.ts';
import type { Topic } from '../topic/table.ts';
import { validatePayload } from '../topic/validate.ts';
import { headerBytes, type PublishOptions, priorityLevel } from './options.ts';

/** What is the same for all records of a bus. */
export interface RecordDefaults {
  readonly broker: string;
  readonly capabilities: Capabilities;
  readonly source: string;
  readonly compress: PublishOptions['compress'];
  /** What its readers decompress at most. */
  readonly maxDecompressedBytes: number;
}

/** Keeps a record for later, in place of sending it. */
export type Stage = (record: BusRecord) => Promise<void>;

/** What core adds to a publisher's options for its own messages. */
export interface Internal {
  readonly channel?: Channel;
  /** Goes where `topic.name` would: an inbox's address. */
  readonly address?: string;
  readonly replyTo?: string | undefined;
  readonly expiresAt?: number | undefined;
  readonly extensions?: Extensions | undefined;
  readonly stage?: Stage;
}

const NO_OPTIONS: PublishOptions = {};

/** Of an answer that is an error: a serializer with schemas has no form for nothing. */
const NO_PAYLOAD = new Uint8Array(0);

/**
 * Makes the wire form of a message. Asynchronous only where a schema, a serializer or compression is: this is the hot
 * path, and written so that a plain message costs no closure. Options are checked already.
 *
 * @throws {ValidationError | SerializationError | MessageTooLargeError | UnsupportedError}
 */
export function buildRecord(
  topic: Topic,
  data: unknown,
  given: PublishOptions | undefined,
  now: number,
  defaults: RecordDefaults,
  internal?: Internal,
): BusRecord | Promise<BusRecord> {
  const options = given ?? NO_OPTIONS;
  if (options !== NO_OPTIONS) requireSupport(topic, options, defaults);
  if (topic.schema !== undefined && internal?.channel !== 'reply') {
    // What is sent is the input: the other end validates again, and a schema's output need not be its own valid input.
    const valid = validatePayload(topic.schema, data, topic.name);
    if (valid instanceof Promise) {
      // Now, as it is: what its owner changes meanwhile was not validated.
      const record = (async () => serialize(topic, data, options, now, defaults, internal))();
      // That it is not valid says more than that it cannot be serialized.
      record.catch(() => {});
      return valid.then(() => record);
    }
  }
  return serialize(topic, data, options, now, defaults, internal);
}

function serialize(
  topic: Topic,
  data: unknown,
  options: PublishOptions,
  now: number,
  defaults: RecordDefaults,
  internal: Internal | undefined,
): BusRecord | Promise<BusRecord> {
  // Bytes are copied: the caller may go on using its buffer while the record waits to be sent. Not by `slice`, which on a
  // Buffer copies nothing.
  const payload = internal?.extensions?.error === undefined ? data : NO_PAYLOAD;
  const bytes = payload instanceof Uint8Array;
  const contentType = bytes ? BYTES : topic.serializer.contentType;
  const body = bytes ? new Uint8Array(payload) : toBytes(topic, payload, options.headers);
  if (body instanceof Promise) {
    return body.then((settled) => compressed(topic, settled, contentType, options, now, defaults, internal));
  }
  return compressed(topic, body, contentType, options, now, defaults, internal);
}

function toBytes(
  topic: Topic,
  data: unknown,
  headers: Headers | undefined,
): Uint8Array | Promise<Uint8Array> {
  try {
    const body = topic.serializer.serialize(
      data,
      headers === undefined ? topic.context : { topic: topic.name, headers },
    );
    return body instanceof Promise ? body.catch((error: unknown) => unserializable(topic, error)) : body;
  } catch (error) {
    return unserializable(topic, error);
  }
}

function unserializable(topic: Topic, cause: unknown): never {
  if (BusError.is(cause)) throw cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  throw new SerializationError(`the payload cannot be serialized: ${text}`, { topic: topic.name, cause });
}

function compressed(
  topic: Topic,
  body: Uint8Array,
  contentType: string,
  options: PublishOptions,
  now: number,
  defaults: RecordDefaults,
  internal: Internal | undefined,
): BusRecord | Promise<BusRecord> {
  const wanted = options.compress ?? defaults.compress;
  const chosen = wanted === undefined ? undefined : chooseCompression(wanted, body.length);
  if (chosen === undefined)
    return toRecord(topic, body, contentType, undefined, options, now, defaults, internal);
  const { broker, maxDecompressedBytes } = defaults;
  if (body.length > maxDecompressedBytes) {
    throw new MessageTooLargeError(
      `the body has ${body.length} bytes, and readers on ${broker} decompress at most ${maxDecompressedBytes}`,
      body.length,
      maxDecompressedBytes,
      { topic: topic.name, broker },
    );
  }
  return compress(chosen.encoding, body, chosen.level).then((smaller) =>
    smaller.length < body.length
      ? toRecord(topic, smaller, contentType, chosen.encoding, options, now, defaults, internal)
      : toRecord(topic, body, contentType, undefined, options, now, defaults, internal),
  );
}

function toRecord(
  topic: Topic,
  body: Uint8Array,
  contentType: string,
  contentEncoding: string | undefined,
  options: PublishOptions,
  now: number,
  defaults: RecordDefaults,
  internal: Internal | undefined,
): BusRecord {
  const { maxBodyBytes } = defaults.capabilities.limits;
  if (body.length > maxBodyBytes) {
    throw new MessageTooLargeError(
      `the body has ${body.length} bytes, ${defaults.broker} takes at most ${maxBodyBytes}`,
      body.length,
      maxBodyBytes,
      { topic: topic.name, broker: defaults.broker },
    );
  }
  const deliverAt = options.delay !== undefined ? now + options.delay : options.deliverAt?.getTime();
  const due = deliverAt !== undefined && deliverAt > now ? deliverAt : undefined;
  const ttl = options.ttl ?? (internal?.channel === undefined ? topic.config.ttl : undefined);
  return {
    id: options.id ?? uuidv7(now),
    topic: internal?.address ?? topic.name,
    channel: internal?.channel ?? topic.channel,
    body,
    time: now,
    headers: options.headers === undefined ? undefined : Object.freeze({ ...options.headers }),
    key: options.key,
    priority: priorityLevel(options.priority),
    source: options.source ?? defaults.source,
    type: options.type ?? topic.name,
    contentType,
    contentEncoding,
    dataSchema: options.dataSchema,
    correlationId: options.correlationId,
    causationId: options.causationId,
    replyTo: internal?.replyTo,
    traceparent: options.traceparent,
    tracestate: options.tracestate,
    expiresAt: internal?.expiresAt ?? (ttl === undefined ? undefined : (due ?? now) + ttl),
    deliverAt: due,
    deduplicationKey:
      options.delivery === 'exactly-once' ? (options.idempotencyKey ?? options.id) : undefined,
    extensions: options === NO_OPTIONS ? internal?.extensions : extensions(options, internal?.extensions),
  };
}

function extensions(options: PublishOptions, own: Extensions | undefined): Extensions | undefined {
  const delivery = options.delivery === 'at-least-once' ? undefined : options.delivery;
  if (delivery === undefined && options.retry === undefined) return own;
  return { ...own, delivery, retry: options.retry === undefined ? undefined : encodeRetry(options.retry) };
}

/** Refuses what contradicts itself, and what the broker says that it does not offer. */
function requireSupport(topic: Topic, options: PublishOptions, defaults: RecordDefaults): void {
  const { capabilities, broker } = defaults;
  const need = (feature: Feature, option: string): void => {
    if (capabilities[feature] === 'none') {
      throw new UnsupportedError(`publish option "${option}": ${broker} does not offer ${feature}`, {
        topic: topic.name,
        broker,
      });
    }
  };
  if (options.delay !== undefined || options.deliverAt !== undefined) {
    if (options.delay !== undefined && options.deliverAt !== undefined) {
      throw new ValidationError('publish options "delay" and "deliverAt" cannot both be given', {
        topic: topic.name,
      });
    }
    if (topic.channel === 'ephemeral') {
      throw new ValidationError(
        `publish option "${options.delay === undefined ? 'deliverAt' : 'delay'}" needs a durable topic, and "${topic.name}" is ephemeral`,
        { topic: topic.name },
      );
    }
    need('delay', options.delay === undefined ? 'deliverAt' : 'delay');
  }
  if (options.priority !== undefined && priorityLevel(options.priority) !== 2) need('priority', 'priority');
  if (options.delivery === 'exactly-once') {
    if (topic.channel === 'ephemeral') {
      throw new ValidationError(
        `publish option "delivery": "exactly-once" needs a durable topic, and "${topic.name}" is ephemeral`,
        { topic: topic.name },
      );
    }
    need('deduplication', 'delivery');
    if (options.idempotencyKey === undefined && options.id === undefined) {
      throw new ValidationError(
        'publish option "delivery": "exactly-once" needs an "idempotencyKey" (or an "id" of your own)',
        { topic: topic.name },
      );
    }
  } else if (options.idempotencyKey !== undefined) {
    throw new ValidationError(
      'publish option "idempotencyKey" does nothing without "delivery": "exactly-once"',
      {
        topic: topic.name,
      },
    );
  }
  if (options.headers !== undefined) {
    const size = headerBytes(options.headers);
    const limit = capabilities.limits.maxHeaderBytes;
    if (size > limit) {
      throw new MessageTooLargeError(
        `the headers have ${size} bytes, ${broker} takes at most ${limit}`,
        size,
        limit,
        {
          topic: topic.name,
          broker,
        },
      );
    }
  }
}
