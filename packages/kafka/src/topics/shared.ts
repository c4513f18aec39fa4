import { intersects, isLiteral, type TopicRule, topicProblem } from '@ambus/core';
import { optionsOf } from './config.ts';

/** The Kafka topics that the option `kafkaTopic` names, and the patterns whose topics lie on each. */
export class MappedTopics {
  readonly #patterns = new Map<string, Set<string>>();

  /** @throws {ConfigError} for an option that is not allowed */
  learn(rules: readonly TopicRule[]): void {
    for (const { pattern, config } of rules) {
      const { kafkaTopic } = optionsOf(config);
      if (kafkaTopic === undefined) continue;
      const known = this.#patterns.get(kafkaTopic);
      if (known === undefined) this.#patterns.set(kafkaTopic, new Set([pattern]));
      else known.add(pattern);
    }
  }

  mapped(kafkaTopic: string): boolean {
    return this.#patterns.has(kafkaTopic);
  }

  /** Whether several topics may lie on it, so that only a record itself tells whose it is. */
  has(kafkaTopic: string): boolean {
    return this.mapped(kafkaTopic) && this.topicOf(kafkaTopic) === undefined;
  }

  /** The one topic that lies on it. */
  topicOf(kafkaTopic: string): string | undefined {
    const [first = '#', second] = this.#patterns.get(kafkaTopic) ?? [];
    return second === undefined && isLiteral(first) ? first : undefined;
  }

  /** Whether topics that lie on it can match a pattern. */
  meets(kafkaTopic: string, wanted: string): boolean {
    for (const pattern of this.#patterns.get(kafkaTopic) ?? []) if (intersects(pattern, wanted)) return true;
    return false;
  }
}

/** The topic of records on a shared Kafka topic that do not say theirs: other programs know only that name. */
export function foreignTopic(kafkaTopic: string, otherwise: string): string {
  return topicProblem(kafkaTopic) === undefined ? kafkaTopic : otherwise;
}
