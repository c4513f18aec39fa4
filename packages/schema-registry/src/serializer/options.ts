import { ConfigError, check, describe, patternProblem } from '@ambus/core';
import type { Reference } from '../registry/schema.ts';
import type { SchemaRegistry } from '../registry/schema-registry.ts';
import type { SubjectStrategy } from './subject.ts';

/** A schema that another one names, and that is registered together with it. */
export interface LocalReference<S> {
  /** Avro: full name of the type. Protobuf: path of the import. JSON Schema: what `$ref` says. */
  readonly name: string;
  readonly subject: string;
  readonly schema: S;
  readonly references?: readonly (Reference | LocalReference<S>)[] | undefined;
}

/** A schema that this program has. */
export interface LocalSchema<S> {
  readonly schema: S;
  /** What `schema` names and does not define: by its version in the registry, or with its own schema. */
  readonly references?: readonly (Reference | LocalReference<S>)[] | undefined;
  /** Subject of these topics, whatever the strategy. Without it each topic that a pattern matches has its own. */
  readonly subject?: string | undefined;
}

/** A schema that is only in the registry. Its topics are written with it, and read as they were written. */
export interface RemoteSchema {
  /** `latest` is looked up once for a subject, before the first message. */
  readonly version: number | 'latest';
  /** Default: by the strategy, which must not need the type's name then. */
  readonly subject?: string | undefined;
}

/** Options that all three serializers have. */
export interface CommonOptions<E> {
  /** Default `schemaRegistry()`: the one of `AMB_SCHEMA_REGISTRY_URL`. */
  readonly registry?: SchemaRegistry | undefined;
  /**
   * The schemas by topic pattern, `{ 'orders.*.created': { schema } }`; the first that matches counts. Messages are written
   * with their topic's schema, and read as it, whichever version they were written with. Topics without one cannot be
   * written, and are read as they were written.
   */
  readonly schemas?: Readonly<Record<string, E>> | undefined;
  /**
   * Whether a schema that is not in the registry is put there, if it is compatible with what is there. Default true, like
   * the bus's `provision`: what is missing is created. With false a message without a registered schema is refused.
   */
  readonly register?: boolean | undefined;
  /** Default `topic`. */
  readonly subject?: SubjectStrategy | undefined;
  /** Content type of the messages, where a fleet has agreed on another one. */
  readonly contentType?: string | undefined;
}

const { arrayOf, boolean, callable, either, integer, object, oneOf, options, shaped, text } = check;

const reference: check.Check = (value) =>
  options({
    name: text(),
    subject: text(),
    version: integer(1),
    schema: either(text(10_000_000), object, Array.isArray as never),
    references: (inner) => arrayOf(reference)(inner),
  })(value) ??
  ('version' in (value as object) === 'schema' in (value as object)
    ? 'either a version or a schema'
    : undefined);

/** @param own - checks of what a schema of this kind has beyond the common */
export function entriesCheck<E>(schema: check.Check, own: check.Spec<E>): check.Check {
  const local = options({ schema, references: arrayOf(reference), subject: text(), ...own });
  const remote = options({ version: either(integer(1), oneOf('latest')), subject: text(), ...own });
  return (value) => {
    if (object(value) !== undefined) return 'an object of schemas by topic pattern';
    for (const [pattern, entry] of Object.entries(value as object)) {
      const problem = patternProblem(pattern);
      if (problem !== undefined)
        return `an object of schemas by topic pattern (${describe(pattern)} ${problem})`;
      const isRemote = object(entry) === undefined && 'version' in (entry as object);
      const wrong = isRemote
        ? remote(entry)
        : 'schema' in Object(entry)
          ? local(entry)
          : 'with schema or version';
      if (wrong !== undefined) return `an object of schemas (${describe(pattern)} must be ${wrong})`;
    }
    return undefined;
  };
}

/** Checks of the common options, but for `schemas`. */
export const COMMON: check.Spec<Omit<CommonOptions<unknown>, 'schemas'>> = {
  registry: shaped('a SchemaRegistry', 'byId', 'find', 'register', 'check'),
  register: boolean,
  subject: either(oneOf('topic', 'record', 'topic-record'), callable),
  contentType: text(),
};

export function checkSerializer<T>(name: string, given: T, spec: check.Spec<T>): void {
  check.checkOptions(`${name} option`, given, spec, ConfigError);
}
