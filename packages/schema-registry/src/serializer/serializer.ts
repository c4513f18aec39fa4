import {
  BusError,
  ConfigError,
  compilePattern,
  SerializationError,
  type Serializer,
  type SerializerContext,
} from '@ambus/core';
import { Memo } from '../registry/memo.ts';
import type { CompleteSchema } from '../registry/schema.ts';
import { type SchemaRegistry, schemaRegistry } from '../registry/schema-registry.ts';
import { Enrolment } from './enrol.ts';
import type { Format, Writer } from './format.ts';
import { frame, readId, unframe } from './frame.ts';
import type { CommonOptions, LocalSchema, RemoteSchema } from './options.ts';
import { subjectOf } from './subject.ts';

/** Topics that are remembered; the map is dropped when it has grown to this. */
const REMEMBERED = 10_000;

interface Rule<E, C> {
  readonly matches: (topic: string) => boolean;
  readonly entry: E;
  /** What was compiled of it, where it is the program's own. */
  compiled: Promise<C> | undefined;
  /** What was prepared of it by subject, where it is only in the registry. */
  readonly remote: Memo<Prepared>;
}

interface Prepared {
  readonly id: number;
  readonly writer: Writer;
}

type Reader = (body: Uint8Array) => unknown;

/**
 * A serializer with schemas in a registry. Its first message of a topic, and the first with a schema's id, wait for the
 * registry; all others are written and read without a promise.
 */
export class RegistrySerializer<S, E extends LocalSchema<S> | RemoteSchema, C> implements Serializer {
  readonly contentType: string;
  readonly #format: Format<S, E, C>;
  readonly #options: CommonOptions<E>;
  readonly #registry: SchemaRegistry;
  readonly #enrolment: Enrolment<S, E, C>;
  readonly #rules: readonly Rule<E, C>[];
  readonly #ruleOf = new Map<string, Rule<E, C> | undefined>();
  readonly #writers = new Map<string, Prepared>();
  readonly #preparing = new Memo<Prepared>();
  readonly #readers = new Map<Rule<E, C> | undefined, Map<number, Reader>>();
  readonly #codecs = new WeakMap<CompleteSchema, C>();

  /** @throws {ConfigError} when a schema is not valid */
  constructor(format: Format<S, E, C>, options: CommonOptions<E>) {
    this.contentType = options.contentType ?? format.contentType;
    this.#format = format;
    this.#options = options;
    this.#registry = options.registry ?? schemaRegistry();
    this.#enrolment = new Enrolment(this.#registry, format, options.register ?? true);
    this.#rules = Object.entries(options.schemas ?? {}).map(([pattern, entry]) => {
      if (isLocal<S, E>(entry) && entry.references === undefined) this.#verify(pattern, entry);
      return { matches: compilePattern(pattern), entry, compiled: undefined, remote: new Memo() };
    });
  }

  serialize(data: unknown, { topic }: SerializerContext): Uint8Array | Promise<Uint8Array> {
    const prepared = this.#writers.get(topic);
    if (prepared !== undefined) return this.#write(topic, prepared, data);
    return this.#preparing
      .get(topic, () => this.#prepare(topic))
      .then((now) => this.#write(topic, now, data));
  }

  deserialize(framed: Uint8Array, { topic }: SerializerContext): unknown {
    const id = readId(framed);
    const rule = this.#rule(topic);
    const reader = this.#readers.get(rule)?.get(id);
    if (reader !== undefined) return read(topic, id, reader, framed);
    return this.#reader(topic, rule, id).then((now) => read(topic, id, now, framed));
  }

  #rule(topic: string): Rule<E, C> | undefined {
    const known = this.#ruleOf.get(topic);
    if (known !== undefined || this.#ruleOf.has(topic)) return known;
    if (this.#ruleOf.size >= REMEMBERED) this.#ruleOf.clear();
    const rule = this.#rules.find(({ matches }) => matches(topic));
    this.#ruleOf.set(topic, rule);
    return rule;
  }

  #write(topic: string, { id, writer }: Prepared, data: unknown): Uint8Array {
    try {
      return frame(id, writer.write(data));
    } catch (cause) {
      throw failure(`the payload for topic "${topic}" does not fit its schema`, topic, cause);
    }
  }

  async #prepare(topic: string): Promise<Prepared> {
    const rule = this.#rule(topic);
    if (rule === undefined) {
      throw new SerializationError(`topic "${topic}" has no schema (option "schemas")`, { topic });
    }
    const { entry } = rule;
    const prepared = isLocal<S, E>(entry)
      ? await this.#local(topic, rule, entry)
      : await this.#remote(topic, rule, entry as E & RemoteSchema);
    if (this.#writers.size >= REMEMBERED) this.#writers.clear();
    this.#writers.set(topic, prepared);
    return prepared;
  }

  #remote(topic: string, rule: Rule<E, C>, entry: E & RemoteSchema): Promise<Prepared> {
    const { type } = this.#format;
    const subject = entry.subject ?? this.#subject(topic, undefined);
    return rule.remote.get(subject, async () => {
      const found = await this.#registry.version(subject, entry.version);
      if (found.type !== type) {
        throw new ConfigError(`subject "${subject}" has a schema of the type ${found.type}, not ${type}`);
      }
      const codec = this.#compile(subject, await this.#registry.complete(found));
      return { id: found.id, writer: this.#format.writer(codec, entry) };
    });
  }

  async #local(topic: string, rule: Rule<E, C>, entry: E & LocalSchema<S>): Promise<Prepared> {
    const writer = this.#format.writer(await this.#own(rule, entry), entry);
    const subject = entry.subject ?? this.#subject(topic, writer.record);
    const { id } = await this.#enrolment.ensure(subject, await this.#enrolment.schema(entry));
    return { id, writer };
  }

  #subject(topic: string, record: string | undefined): string {
    return subjectOf(this.#options.subject ?? 'topic', { topic, record, type: this.#format.type });
  }

  /** A schema of the program's own; what it refers to by version is in the registry. */
  #own(rule: Rule<E, C>, entry: LocalSchema<S>): Promise<C> {
    const compile = async (): Promise<C> =>
      this.#compile('of option "schemas"', await this.#enrolment.complete(entry));
    rule.compiled ??= compile().catch((error: unknown) => {
      rule.compiled = undefined;
      throw error;
    });
    return rule.compiled;
  }

  async #reader(topic: string, rule: Rule<E, C> | undefined, id: number): Promise<Reader> {
    const written = await this.#registry.byId(id);
    if (written.type !== this.#format.type) {
      throw new SerializationError(
        `the schema with the id ${id} is of the type ${written.type}, not ${this.#format.type}`,
        { topic },
      );
    }
    const entry = rule?.entry;
    const isOwn = entry !== undefined && isLocal<S, E>(entry);
    const own = isOwn ? { codec: await this.#own(rule!, entry), entry } : undefined;
    const reader = this.#format.reader(() => this.#compile(`with the id ${id}`, written), own);
    let readers = this.#readers.get(rule);
    if (readers === undefined || readers.size >= REMEMBERED) {
      readers = new Map();
      this.#readers.set(rule, readers);
    }
    readers.set(id, reader);
    return reader;
  }

  #compile(which: string, schema: CompleteSchema): C {
    let codec = this.#codecs.get(schema);
    if (codec !== undefined) return codec;
    try {
      codec = this.#format.compile(schema);
    } catch (cause) {
      throw new ConfigError(`the schema ${which} is not valid: ${(cause as Error).message}`, { cause });
    }
    this.#codecs.set(schema, codec);
    return codec;
  }

  #verify(pattern: string, entry: E & LocalSchema<S>): void {
    const { type } = this.#format;
    const codec = this.#compile(`for "${pattern}"`, {
      type,
      text: this.#format.toText(entry.schema),
      references: [],
      parts: [],
    });
    this.#format.writer(codec, entry);
  }
}

const isLocal = <S, E>(entry: E): entry is E & LocalSchema<S> => 'schema' in Object(entry);

function read(topic: string, id: number, reader: Reader, framed: Uint8Array): unknown {
  try {
    return reader(unframe(framed));
  } catch (cause) {
    throw failure(
      `the body of ${framed.length} bytes cannot be read (schema ${id}, topic "${topic}")`,
      topic,
      cause,
    );
  }
}

function failure(what: string, topic: string, cause: unknown): BusError {
  if (BusError.is(cause) && !SerializationError.is(cause)) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  const origin = SerializationError.is(cause) ? cause.cause : cause;
  return new SerializationError(`${what}: ${text}`, { topic, cause: origin });
}
