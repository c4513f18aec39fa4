import type { Capabilities, Feature } from '../capabilities.ts';
import type { BusRecord, Channel, Extensions, Headers } from '../envelope/record.ts';
import { uuidv7 } from '../envelope/uuid.ts';
import { MessageTooLargeError, SerializationError, UnsupportedError, ValidationError } from '../errors.ts';
import { encodeRetry } from '../retry/policy.ts';
import { type Compression, chooseCompression, compress } from '../serializer/compression.ts';
import { BYTES } from '../serializer/registry.ts';
import type { Serializer } from '../serializer/serializer.ts';
import type { Topic } from '../topic/table.ts';
import { validatePayload } from '../topic/validate.ts';
import { headerBytes, type PublishOptions, priorityLevel } from './options.ts';

/** What is the same for all records of a bus. */
export interface RecordDefaults {
  readonly broker: string;
  readonly capabilities: Capabilities;
  readonly source: string;
  readonly compress: PublishOptions['compress'];
}

/** What core adds to a publisher's options for its own messages. */
export interface Internal {
  readonly channel?: Channel;
  /** Goes where `topic.name` would: an inbox's address. */
  readonly address?: string;
  readonly replyTo?: string | undefined;
  readonly expiresAt?: number | undefined;
  readonly extensions?: Extensions | undefined;
}

const NO_OPTIONS: PublishOptions = {};
const NO_HEADERS: Headers = Object.freeze({});

interface Content {
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
}

/**
 * Makes the wire form of a message. Asynchronous only where a schema, a serializer or compression is, because this is
 * the hot path. Options are checked already.
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
    const valid = validatePayload(topic.schema, data, topic.name);
    // What is sent is the input: the other end validates again, and a schema's output need not be its own valid input.
    if (valid instanceof Promise) return valid.then(() => serialize());
  }
  return serialize();

  function serialize(): BusRecord | Promise<BusRecord> {
    const content = toBytes(topic.serializer, data, topic.name, options.headers);
    if (content instanceof Promise) return content.then(finish);
    return finish(content);
  }

  function finish(content: Content): BusRecord | Promise<BusRecord> {
    const chosen = chooseCompression(options.compress ?? defaults.compress, content.body.length);
    if (chosen === undefined) return assemble(content);
    return compressContent(content, chosen).then(assemble);
  }

  function assemble(content: Content): BusRecord {
    const { limits } = defaults.capabilities;
    if (content.body.length > limits.maxBodyBytes) {
      throw new MessageTooLargeError(
        `the body has ${content.body.length} bytes, ${defaults.broker} takes at most ${limits.maxBodyBytes}`,
        content.body.length,
        limits.maxBodyBytes,
        { topic: topic.name, broker: defaults.broker },
      );
    }
    return toRecord(topic, content, options, now, defaults, internal);
  }
}

function toBytes(
  serializer: Serializer,
  data: unknown,
  topic: string,
  headers: Headers = NO_HEADERS,
): Content | Promise<Content> {
  if (data instanceof Uint8Array) {
    // Copied: the caller may go on using its buffer while the record waits to be sent.
    return { body: data.slice(), contentType: BYTES, contentEncoding: undefined };
  }
  const failed = (cause: unknown): never => {
    if (SerializationError.is(cause)) throw cause;
    throw new SerializationError(`the payload cannot be serialized: ${(cause as Error)?.message ?? cause}`, {
      topic,
      cause,
    });
  };
  try {
    const body = serializer.serialize(data, { topic, headers });
    const content = (bytes: Uint8Array): Content => ({
      body: bytes,
      contentType: serializer.contentType,
      contentEncoding: undefined,
    });
    return body instanceof Promise ? body.then(content, failed) : content(body);
  } catch (error) {
    return failed(error);
  }
}

async function compressContent(content: Content, compression: Compression): Promise<Content> {
  const body = await compress(compression.encoding, content.body, compression.level);
  return body.length < content.body.length
    ? { ...content, body, contentEncoding: compression.encoding }
    : content;
}

function toRecord(
  topic: Topic,
  content: Content,
  options: PublishOptions,
  now: number,
  defaults: RecordDefaults,
  internal: Internal | undefined,
): BusRecord {
  const deliverAt = options.delay !== undefined ? now + options.delay : options.deliverAt?.getTime();
  const due = deliverAt !== undefined && deliverAt > now ? deliverAt : undefined;
  return {
    id: options.id ?? uuidv7(now),
    topic: internal?.address ?? topic.name,
    channel: internal?.channel ?? topic.channel,
    body: content.body,
    time: now,
    headers: options.headers === undefined ? undefined : Object.freeze({ ...options.headers }),
    key: options.key,
    priority: priorityLevel(options.priority),
    source: options.source ?? defaults.source,
    type: options.type ?? topic.name,
    contentType: content.contentType,
    contentEncoding: content.contentEncoding,
    dataSchema: options.dataSchema,
    correlationId: options.correlationId,
    causationId: options.causationId,
    replyTo: internal?.replyTo,
    traceparent: options.traceparent,
    tracestate: options.tracestate,
    expiresAt: internal?.expiresAt ?? (options.ttl === undefined ? undefined : (due ?? now) + options.ttl),
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
