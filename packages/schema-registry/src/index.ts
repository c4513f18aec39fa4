export type { SchemaRegistryOptions } from './registry/options.ts';
export type { Reference, RegisteredSchema, Schema, SchemaType } from './registry/schema.ts';
export { SchemaRegistry, schemaRegistry } from './registry/schema-registry.ts';
export type { CommonOptions, LocalReference, LocalSchema, RemoteSchema } from './serializer/options.ts';
export type { SubjectContext, SubjectStrategy } from './serializer/subject.ts';
