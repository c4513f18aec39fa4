import type { Serializer } from '../serializer/serializer.ts';
import type { StandardSchema } from './schema.ts';

/** Whether the bus may create topics, queues and groups on the server. */
export type Provision = 'create' | 'check' | 'none';

/** `durable`: stored by the broker. `ephemeral`: only in flight. */
export type Durability = 'durable' | 'ephemeral';

/**
 * How long a durable topic keeps what every group has settled. Whichever limit is reached first counts. What a group
 * has not settled yet is not removed, but by limits of the broker's own: Kafka deletes by age, settled or not; NATS with
 * `maxMessages`, `maxBytes` or `maxAge` of its stream, and Redis with `trimUnacked`, remove it, too. On memory, Redis and
 * Kafka the retention counts that the topic was made with.
 */
export interface Retention {
  /** Milliseconds. */
  readonly maxAge?: number | undefined;
  /** Messages. Without effect on Kafka. */
  readonly maxMessages?: number | undefined;
}

/** Options of the topics that a pattern matches. */
export interface TopicOptions {
  /** Default `durable`. */
  readonly durability?: Durability | undefined;
  /** Default: the broker's own. */
  readonly retention?: Retention | undefined;
  /** Milliseconds after which a message that has no `ttl` of its own is not handled any more. At least 1. Default: never. */
  readonly ttl?: number | undefined;
  /** Validates payloads before they are sent and after they arrived. Any Standard Schema: zod, valibot, arktype. */
  readonly schema?: StandardSchema | undefined;
  /** Instead of the bus's serializer. */
  readonly serializer?: Serializer | undefined;
  /** Options that only one broker knows, under the names in its `topicOptions`. */
  readonly [brokerOption: string]: unknown;
}

/** `TopicOptions` with defaults filled in, as a broker sees them. */
export interface TopicConfig extends TopicOptions {
  readonly durability: Durability;
  readonly retention: Retention;
}

/** One rule of the bus's `topics`, as a broker sees it. */
export interface TopicRule {
  readonly pattern: string;
  readonly config: TopicConfig;
}
