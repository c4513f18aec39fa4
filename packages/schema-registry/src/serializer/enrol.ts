import { SerializationError, ValidationError } from '@ambus/core';
import type { CompleteSchema, Reference, RegisteredSchema, Schema } from '../registry/schema.ts';
import type { SchemaRegistry } from '../registry/schema-registry.ts';
import { type Difference, differences } from './differences.ts';
import type { Format } from './format.ts';
import type { LocalReference, LocalSchema } from './options.ts';

/** Finds a program's own schemas in the registry, and puts them there where it may. */
export class Enrolment<S, E, C> {
  readonly #registry: SchemaRegistry;
  readonly #format: Format<S, E, C>;
  readonly #register: boolean;

  constructor(registry: SchemaRegistry, format: Format<S, E, C>, register: boolean) {
    this.#registry = registry;
    this.#format = format;
    this.#register = register;
  }

  /**
   * @throws {ValidationError} when it is not compatible with what is registered, naming the fields that differ
   * @throws {SerializationError} when it is not registered, and may not be
   */
  async ensure(subject: string, schema: Schema): Promise<RegisteredSchema> {
    const found = await this.#registry.find(subject, schema);
    if (found !== undefined) return found;
    if (!this.#register) {
      throw new SerializationError(
        `the schema is not registered under subject "${subject}", and option "register" is false`,
      );
    }
    const { compatible, reasons } = await this.#registry.check(subject, schema);
    if (!compatible) throw await this.#incompatible(subject, schema, reasons);
    try {
      return await this.#registry.register(subject, schema);
    } catch (error) {
      // Another program may have registered one since it was checked.
      if (SerializationError.is(error)) throw await this.#incompatible(subject, schema, [error.message]);
      throw error;
    }
  }

  /** References by version: those with a schema of their own are registered first. */
  async references(references: readonly (Reference | LocalReference<S>)[]): Promise<Reference[]> {
    const resolved: Reference[] = [];
    for (const reference of references) {
      const { name, subject } = reference;
      if ('version' in reference) resolved.push({ name, subject, version: reference.version });
      else {
        const { version } = await this.ensure(subject, await this.schema(reference));
        resolved.push({ name, subject, version });
      }
    }
    return resolved;
  }

  async schema({ schema, references = [] }: Pick<LocalSchema<S>, 'schema' | 'references'>): Promise<Schema> {
    const { type } = this.#format;
    return { type, text: this.#format.toText(schema), references: await this.references(references) };
  }

  /** A schema with the texts of all that it refers to, without asking for what the program has itself. */
  async complete({
    schema,
    references = [],
  }: Pick<LocalSchema<S>, 'schema' | 'references'>): Promise<CompleteSchema> {
    const { type } = this.#format;
    const parts = new Map<string, string>();
    // The first of a name counts, as in `SchemaRegistry.complete`.
    const add = (name: string, text: string): void => {
      if (!parts.has(name)) parts.set(name, text);
    };
    for (const reference of references) {
      const part =
        'version' in reference
          ? await this.#registry.complete(await this.#registry.version(reference.subject, reference.version))
          : await this.complete(reference);
      for (const { name, text } of part.parts) add(name, text);
      add(reference.name, part.text);
    }
    const text = this.#format.toText(schema);
    return { type, text, references: [], parts: [...parts].map(([name, part]) => ({ name, text: part })) };
  }

  async #incompatible(subject: string, schema: Schema, reasons: readonly string[]): Promise<ValidationError> {
    const latest = await this.#registry.latest(subject);
    const changed = latest === undefined ? [] : await this.#differences(latest, schema);
    const issues = changed.map(({ field, text }) => ({
      message: text,
      path: field === '' ? [] : field.split('.'),
    }));
    const than = latest === undefined ? '' : `; it differs from version ${latest.version}: `;
    return new ValidationError(
      `the schema is not compatible with subject "${subject}"${than}${changed.map(({ text }) => text).join(', ')}. ` +
        `The registry says: ${reasons.join(' ').slice(0, 2_000) || 'nothing'}`,
      issues.length === 0 ? {} : { issues },
    );
  }

  async #differences(before: Schema, after: Schema): Promise<Difference[]> {
    // Of another kind, it differs in everything.
    if (before.type !== after.type) return [];
    const [was, is] = await Promise.all([before, after].map((one) => this.#registry.complete(one)));
    try {
      return differences(
        this.#format.fields(this.#format.compile(was!)),
        this.#format.fields(this.#format.compile(is!)),
      );
    } catch {
      // What is there may be of a draft that cannot be compiled here.
      return [];
    }
  }
}
