import { ConfigError } from '@ambus/core';
import type { SchemaType } from '../registry/schema.ts';

/** What the name of a subject can be made of. */
export interface SubjectContext {
  readonly topic: string;
  /** Full name of the Avro or Protobuf type, `title` of a JSON Schema; undefined where it has none. */
  readonly record: string | undefined;
  readonly type: SchemaType;
}

/**
 * Under which subject a schema is registered: `topic` is `<topic>-value`, `record` the name of the type, and `topic-record`
 * is `<topic>-<name of the type>`, as in Confluent's clients. A function makes a name of its own; it is asked once for a
 * topic.
 */
export type SubjectStrategy = 'topic' | 'record' | 'topic-record' | ((context: SubjectContext) => string);

/** @throws {ConfigError} when there is no name */
export function subjectOf(strategy: SubjectStrategy, context: SubjectContext): string {
  const { topic, record, type } = context;
  if (strategy === 'topic') return `${topic}-value`;
  if (typeof strategy === 'function') {
    const subject: unknown = strategy(context);
    if (typeof subject === 'string' && subject !== '') return subject;
    throw new ConfigError(
      `option "subject" must return a text for topic "${topic}", and returned ${subject}`,
    );
  }
  if (record === undefined) {
    throw new ConfigError(
      `option "subject": "${strategy}" needs ${type === 'JSON' ? 'a "title" in the schema' : 'a schema of a named type'} for topic "${topic}"`,
    );
  }
  return strategy === 'record' ? record : `${topic}-${record}`;
}
