import { ConfigError, SerializationError } from '@ambus/core';
import type { Call } from './http.ts';
import { Memo } from './memo.ts';
import { type SchemaRegistryOptions, settings } from './options.ts';
import { readReferences, readType } from './read.ts';
import type { CompleteSchema, Reference, RegisteredSchema, Schema } from './schema.ts';
import { Transport } from './transport.ts';

/** What a registry says about a schema that is to follow others of its subject. */
export interface Verdict {
  readonly compatible: boolean;
  /** In the registry's own words. */
  readonly reasons: readonly string[];
}

/**
 * A client of a schema registry with Confluent's REST API, for the serializers of this package. What cannot change is
 * asked for once: schemas by id or version, and the id of a schema under a subject. Failures are not remembered.
 *
 * All methods reject with a `ConnectionError` or `TimeoutError` when the registry does not answer in time.
 */
export class SchemaRegistry {
  readonly #transport: Transport;
  readonly #byId = new Memo<CompleteSchema>();
  readonly #byVersion = new Memo<RegisteredSchema>();
  readonly #ids = new Memo<RegisteredSchema>();

  /** @throws {ConfigError} when an option is not allowed */
  constructor(options: SchemaRegistryOptions = {}) {
    this.#transport = new Transport(settings(options));
  }

  /**
   * The schema with an id, and all that it refers to.
   *
   * @throws {SerializationError} when there is none
   */
  byId(id: number): Promise<CompleteSchema> {
    return this.#byId.get(String(id), async () => {
      const call = { method: 'GET', path: `schemas/ids/${id}` } as const;
      const { status, body } = await this.#transport.ask(call);
      if (status === 404) throw new SerializationError(`the schema registry has no schema with the id ${id}`);
      if (status >= 300 || typeof body.schema !== 'string') throw this.#unexpected(call, { status, body });
      return this.complete({
        type: readType(body.schemaType),
        text: body.schema,
        references: readReferences(body.references),
      });
    });
  }

  /**
   * One version of a subject. What `latest` is, is asked for each time.
   *
   * @throws {SerializationError} when there is none
   */
  async version(subject: string, version: number | 'latest'): Promise<RegisteredSchema> {
    const found =
      version === 'latest'
        ? await this.#version(subject, version)
        : await this.#byVersion.get(JSON.stringify([subject, version]), () =>
            this.#version(subject, version),
          );
    if (found !== undefined) return found;
    throw new SerializationError(`the schema registry has no version ${version} of subject "${subject}"`);
  }

  /** `version`, or undefined where there is none. */
  latest(subject: string): Promise<RegisteredSchema | undefined> {
    return this.#version(subject, 'latest');
  }

  async #version(subject: string, version: number | 'latest'): Promise<RegisteredSchema | undefined> {
    const path = `subjects/${encodeURIComponent(subject)}/versions/${version}`;
    return this.#registered({ method: 'GET', path }, undefined);
  }

  /** A schema's place under a subject; undefined where it is not registered there. */
  find(subject: string, schema: Schema): Promise<RegisteredSchema | undefined> {
    return this.#ids.get(keyOf(subject, schema), () => this.#registered(lookup(subject, schema), schema));
  }

  /**
   * Registers a schema under a subject. Whoever is second gets what the first got.
   *
   * @throws {SerializationError} when the registry finds it incompatible with what is there
   * @throws {ConfigError} when the registry finds that it is no schema
   */
  async register(subject: string, schema: Schema): Promise<RegisteredSchema> {
    const path = `subjects/${encodeURIComponent(subject)}/versions`;
    const call = { method: 'POST', path, body: toBody(schema) } as const;
    const { status, body } = await this.#transport.ask(call);
    if (status === 409) throw new SerializationError(`subject "${subject}": ${body.message}`);
    if (status === 422) throw invalid(subject, body);
    if (status >= 300) throw this.#unexpected(call, { status, body });
    const found = await this.#registered({ ...lookup(subject, schema), exists: true }, schema);
    if (found === undefined) throw this.#unexpected(call, { status, body });
    return found;
  }

  /**
   * Whether a schema may follow what is registered under a subject, by the compatibility that is set there.
   *
   * @throws {ConfigError} when the registry finds that it is no schema
   */
  async check(subject: string, schema: Schema): Promise<Verdict> {
    const path = `compatibility/subjects/${encodeURIComponent(subject)}/versions`;
    const call = { method: 'POST', path: `${path}?verbose=true`, body: toBody(schema) } as const;
    let { status, body } = await this.#transport.ask({ ...call, newer: true });
    if (status === 404 && body.error_code !== 40401) {
      // Registries before 6.1 compare with one version only.
      ({ status, body } = await this.#transport.ask({ ...call, path: `${path}/latest?verbose=true` }));
    }
    if (status === 404) return { compatible: true, reasons: [] };
    if (status === 422) throw invalid(subject, body);
    if (status >= 300 || typeof body.is_compatible !== 'boolean')
      throw this.#unexpected(call, { status, body });
    const said = [body.messages, body.reason].flat().filter((one) => typeof one === 'string');
    return { compatible: body.is_compatible, reasons: said };
  }

  /**
   * Fetches the texts of all that a schema refers to, and of all that those refer to. The first that is met of a name
   * counts, as in Confluent's own clients: with Avro they would otherwise read other bytes.
   */
  async complete(schema: Schema): Promise<CompleteSchema> {
    const parts = new Map<string, string>();
    const walk = async (references: readonly Reference[]): Promise<void> => {
      for (const { name, subject, version } of references) {
        if (parts.has(name)) continue;
        const part = await this.version(subject, version);
        await walk(part.references);
        parts.set(name, part.text);
      }
    };
    await walk(schema.references);
    return { ...schema, parts: [...parts].map(([name, text]) => ({ name, text })) };
  }

  async #registered(call: Call, given: Schema | undefined): Promise<RegisteredSchema | undefined> {
    const { status, body } = await this.#transport.ask(call);
    if (status === 404) return undefined;
    const { id, version, subject, schema } = body;
    if (status === 422 && given !== undefined) throw invalid(String(subject ?? call.path.slice(9)), body);
    const right = Number.isInteger(id) && Number.isInteger(version) && typeof subject === 'string';
    if (status >= 300 || !right || typeof schema !== 'string') throw this.#unexpected(call, { status, body });
    return {
      type: readType(body.schemaType),
      text: schema,
      references: readReferences(body.references),
      id: id as number,
      version: version as number,
      subject,
    };
  }

  #unexpected(...[call, answer]: Parameters<Transport['unexpected']>): Error {
    return this.#transport.unexpected(call, answer);
  }
}

/**
 * A client of a schema registry, for one or several serializers. Asks nothing yet: a program starts while its registry
 * is down.
 *
 * @throws {ConfigError} when an option is not allowed
 */
export function schemaRegistry(options: SchemaRegistryOptions = {}): SchemaRegistry {
  return new SchemaRegistry(options);
}

/** Avro is what a registry takes it for when nothing is said, and older ones know no other. */
const toBody = ({ type, text, references }: Schema): object => ({
  schema: text,
  ...(type === 'AVRO' ? undefined : { schemaType: type }),
  ...(references.length === 0 ? undefined : { references }),
});

const lookup = (subject: string, schema: Schema): Call => ({
  method: 'POST',
  path: `subjects/${encodeURIComponent(subject)}`,
  body: toBody(schema),
});

const keyOf = (subject: string, { type, text, references }: Schema): string =>
  JSON.stringify([subject, type, text, references.map(({ name, ...at }) => [name, at.subject, at.version])]);

const invalid = (subject: string, body: Record<string, unknown>): ConfigError =>
  new ConfigError(`the schema registry does not accept the schema for subject "${subject}": ${body.message}`);
