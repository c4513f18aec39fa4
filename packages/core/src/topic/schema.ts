/**
 * The part of Standard Schema 1 (https://standardschema.dev) that the bus uses, so that core needs no dependency to
 * accept the schemas of zod, valibot, arktype and others.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** Outcome of a validation: a value, or issues. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a publisher gives. */
export type SchemaInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : unknown;

/** What a handler gets. */
export type SchemaOutput<S> = S extends StandardSchema<infer _Input, infer Output> ? Output : unknown;
