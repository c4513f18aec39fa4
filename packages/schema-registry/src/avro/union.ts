import type { AvroType } from './library.ts';
import type { AvroCodec } from './parse.ts';

/** What a value is to JavaScript; branches of a union that are the same to it cannot be told apart by the value. */
type Bucket = 'null' | 'boolean' | 'number' | 'string' | 'bytes' | 'array' | 'object';

/** A union's branches by what their values are; undefined where that does not tell them apart. */
export type Branches = ReadonlyMap<Bucket, AvroType> | undefined;

const known = new WeakMap<object, { readonly branches: Branches }>();

export function branchesOf(union: AvroType, codec: AvroCodec): Branches {
  let found = known.get(union);
  if (found === undefined) {
    const entries = union.types.map((type) => [bucketOfType(type, codec), type] as const);
    const branches = new Map(entries);
    found = { branches: branches.size === entries.length ? branches : undefined };
    known.set(union, found);
  }
  return found.branches;
}

function bucketOfType(type: AvroType, { logical }: AvroCodec): Bucket {
  if (logical.get(type)?.kind === 'decimal') return 'string';
  switch (type.typeName) {
    case 'null':
    case 'boolean':
    case 'string':
    case 'bytes':
    case 'array':
      return type.typeName;
    case 'enum':
      return 'string';
    case 'fixed':
      return 'bytes';
    case 'map':
    case 'record':
    case 'error':
      return 'object';
    default:
      return 'number';
  }
}

export function bucketOf(value: unknown): Bucket | undefined {
  switch (typeof value) {
    case 'undefined':
      return 'null';
    case 'boolean':
    case 'string':
      return typeof value as Bucket;
    case 'number':
    case 'bigint':
      return 'number';
    case 'object':
      if (value === null) return 'null';
      if (value instanceof Date) return 'number';
      if (value instanceof Uint8Array) return 'bytes';
      if (Array.isArray(value)) return 'array';
      return isDecimal(value) ? 'string' : 'object';
    default:
      return undefined;
  }
}

/** Recognises the objects of decimal.js, big.js, bignumber.js and the like. */
export const isDecimal = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { toFixed?: unknown }).toFixed === 'function';
