/** As the registry's API spells them. */
export type SchemaType = 'AVRO' | 'PROTOBUF' | 'JSON';

/** A schema that another one names: an Avro type, a Protobuf import, the URI of a JSON Schema `$ref`. */
export interface Reference {
  /** Avro: full name of the type. Protobuf: path of the import. JSON Schema: what `$ref` says. */
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

/** A schema as the registry takes and gives it. */
export interface Schema {
  readonly type: SchemaType;
  readonly text: string;
  readonly references: readonly Reference[];
}

/** A schema with its place in the registry. */
export interface RegisteredSchema extends Schema {
  /** What goes before the body on the wire. */
  readonly id: number;
  readonly subject: string;
  readonly version: number;
}

/** A schema together with the texts of all that it refers to. */
export interface CompleteSchema extends Schema {
  /** In an order in which each comes after those that it refers to itself. */
  readonly parts: readonly { readonly name: string; readonly text: string }[];
}
