import { SerializationError } from '@ambus/core';
import type { Reference, SchemaType } from './schema.ts';

/** Nothing is what older registries say of Avro. */
export function readType(type: unknown): SchemaType {
  if (type === undefined || type === null || type === 'AVRO') return 'AVRO';
  if (type === 'PROTOBUF' || type === 'JSON') return type;
  throw new SerializationError(
    `the schema registry has a schema of the unknown type ${JSON.stringify(type)}`,
  );
}

export function readReferences(references: unknown): Reference[] {
  if (!Array.isArray(references)) return [];
  return references.map(({ name, subject, version }: Reference) => ({ name, subject, version }));
}
