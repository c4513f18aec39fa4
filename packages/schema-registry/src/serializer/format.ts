import type { CompleteSchema, SchemaType } from '../registry/schema.ts';

/** What the three kinds of schemas do differently. `C` is what a schema is compiled to, `E` what the options say of it. */
export interface Format<S, E, C> {
  readonly type: SchemaType;
  readonly contentType: string;
  /** A schema of the options as the registry takes it. */
  toText(schema: S): string;
  /** Throws what is wrong with the schema. */
  compile(schema: CompleteSchema): C;
  writer(codec: C, entry: E): Writer;
  /**
   * Reads what follows the schema's id; throws what keeps a value from being read.
   *
   * @param written - compiles what it was written with: not every format needs that beside `own`
   * @param own - what it is to be read as; undefined: as it was written
   */
  reader(
    written: () => C,
    own: { readonly codec: C; readonly entry: E } | undefined,
  ): (body: Uint8Array) => unknown;
  /** The fields of a schema by their path, each with what it is. */
  fields(codec: C): Map<string, string>;
}

/** Writes payloads with one schema. */
export interface Writer {
  /** Name of the type that it writes. */
  readonly record: string | undefined;
  /** What follows the schema's id. */
  write(data: unknown): Uint8Array;
}
