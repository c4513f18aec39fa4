import type { Channel } from '../envelope/record.ts';
import type { Serializer, SerializerContext } from '../serializer/serializer.ts';
import type { TopicConfig, TopicOptions, TopicRule } from './config.ts';
import { compilePattern, covers, intersects } from './pattern.ts';
import type { StandardSchema } from './schema.ts';
import { assertTopic } from './topic.ts';

/** What the bus knows of a topic, worked out once. */
export interface Topic {
  readonly name: string;
  readonly config: TopicConfig;
  readonly channel: Exclude<Channel, 'request' | 'reply'>;
  readonly schema: StandardSchema | undefined;
  readonly serializer: Serializer;
  /** For serializing a message without headers. */
  readonly context: SerializerContext;
}

interface Rule {
  readonly pattern: string;
  readonly matches: (topic: string) => boolean;
  readonly options: TopicOptions;
}

const NO_HEADERS = Object.freeze({});

/** Topics that are remembered; the map is dropped when it has grown to this. */
const REMEMBERED = 10_000;

/** The bus's `topics` option, looked up by topic. The first rule that matches counts. */
export class TopicTable {
  #rules: readonly Rule[];
  readonly #serializer: Serializer;
  readonly #known = new Map<string, Topic>();

  /** @param rules - in order of precedence */
  constructor(rules: readonly (readonly [pattern: string, options: TopicOptions])[], serializer: Serializer) {
    this.#serializer = serializer;
    this.#rules = rules.map(([pattern, options]) => ({ pattern, options, matches: compilePattern(pattern) }));
  }

  /** @throws {ValidationError} when `name` is not a topic */
  get(name: string): Topic {
    return this.#known.get(name) ?? this.#add(name);
  }

  #add(name: string): Topic {
    assertTopic(name);
    const options: TopicOptions = this.#rules.find((rule) => rule.matches(name))?.options ?? {};
    const config = configOf(options);
    const topic: Topic = {
      name,
      config,
      channel: config.durability,
      schema: options.schema,
      serializer: options.serializer ?? this.#serializer,
      context: { topic: name, headers: NO_HEADERS },
    };
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    this.#known.set(name, topic);
    return topic;
  }

  /** In order of precedence. */
  get rules(): readonly TopicRule[] {
    return this.#rules.map(({ pattern, options }) => ({ pattern, config: configOf(options) }));
  }

  /** Puts a rule before all others, unless one names this very topic. */
  declare(topic: string, options: TopicOptions): void {
    if (this.#rules.some(({ pattern }) => pattern === topic)) return;
    this.#rules = [{ pattern: topic, options, matches: (name) => name === topic }, ...this.#rules];
    this.#known.delete(topic);
  }

  /** The ways that the topics of a pattern can travel: a pattern may span durable and ephemeral ones. */
  channels(pattern: string): ReadonlySet<'durable' | 'ephemeral'> {
    const channels = new Set<'durable' | 'ephemeral'>();
    for (const rule of this.#rules) {
      if (!intersects(rule.pattern, pattern)) continue;
      channels.add(rule.options.durability ?? 'durable');
      if (covers(rule.pattern, pattern)) return channels;
    }
    return channels.add('durable');
  }
}

function configOf(options: TopicOptions): TopicConfig {
  return { ...options, durability: options.durability ?? 'durable', retention: options.retention ?? {} };
}
