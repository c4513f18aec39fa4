import { SerializationError } from '@ambus/core';
import { placeIn } from '../serializer/place.ts';
import type { AvroType } from './library.ts';
import { fromDays, fromTwos, fromUnscaled } from './logical.ts';
import type { AvroCodec } from './parse.ts';
import { branchesOf } from './union.ts';

/** How values arrive. */
export interface Reading {
  readonly int64: 'bigint' | 'string';
  readonly decimal: ((text: string) => unknown) | undefined;
}

/** Turns what avsc decoded into plain values of the application's own. */
export function fromAvro(
  codec: AvroCodec,
  type: AvroType,
  value: unknown,
  reading: Reading,
  path: unknown[] = [],
): unknown {
  const inside = (child: AvroType, item: unknown, key: unknown): unknown => {
    path.push(key);
    const converted = fromAvro(codec, child, item, reading, path);
    path.pop();
    return converted;
  };
  const meaning = codec.logical.get(type);
  switch (meaning?.kind) {
    case 'date':
      return valid(fromDays(value as number), path);
    case 'timestamp':
      return valid(new Date(Number(value)), path);
    case 'decimal': {
      const text = fromUnscaled(fromTwos(value as Buffer), meaning.scale);
      return reading.decimal === undefined ? text : reading.decimal(text);
    }
  }
  switch (type.typeName) {
    case 'abstract:long':
      return reading.int64 === 'string' ? String(value) : value;
    case 'bytes':
    case 'fixed':
      return Uint8Array.from(value as Buffer);
    case 'array':
      return (value as unknown[]).map((item, index) => inside(type.itemsType, item, index));
    case 'map': {
      const entries = Object.entries(value as object);
      return Object.fromEntries(entries.map(([key, item]) => [key, inside(type.valuesType, item, key)]));
    }
    case 'record':
    case 'error': {
      const record: Record<string, unknown> = {};
      for (const { name, type: field } of type.fields) {
        record[name] = inside(field, (value as Record<string, unknown>)[name], name);
      }
      return record;
    }
    case 'union:wrapped': {
      if (value === null) return null;
      const [[name, item]] = Object.entries(value as object) as [[string, unknown]];
      const branch = type.types.find(({ branchName }) => branchName === name)!;
      const converted = fromAvro(codec, branch, item, reading, path);
      return branchesOf(type, codec) === undefined ? { [name]: converted } : converted;
    }
    default:
      return value;
  }
}

function valid(date: Date, path: readonly unknown[]): Date {
  if (!Number.isNaN(date.getTime())) return date;
  throw new SerializationError(`${placeIn(path)} is a time that is beyond what a Date can hold`);
}
