import { isUtf8 } from 'node:buffer';
import { describe, SerializationError } from '@ambus/core';
import { placeIn } from '../serializer/place.ts';
import { nameOf } from './fields.ts';
import type { AvroType } from './library.ts';
import { asLogical, fromDays, fromTwos, fromUnscaled } from './logical.ts';
import type { AvroCodec } from './parse.ts';
import { branchFor, fits, sourceOf } from './resolve.ts';
import { branchesOf } from './union.ts';

/** How values arrive. */
export interface Reading {
  readonly int64: 'bigint' | 'string';
  readonly decimal: ((text: string) => unknown) | undefined;
}

/** The schema that bodies are written with, and the one that they are read as. */
export interface Pair {
  readonly written: AvroCodec;
  readonly own: AvroCodec;
}

/**
 * Turns what avsc decoded, by the schema that it was written with, into plain values of the application's own schema.
 * Value by value, as Avro has it: that some values of a schema cannot be read does not keep others from it.
 *
 * @throws {SerializationError} naming the value that cannot be read as the own schema
 */
export function fromAvro(
  pair: Pair,
  written: AvroType,
  own: AvroType,
  value: unknown,
  reading: Reading,
  path: unknown[] = [],
): unknown {
  if (written.typeName === 'union:wrapped') {
    const [branch, item] = unwrap(written, value);
    return fromAvro(pair, branch, own, item, reading, path);
  }
  if (own.typeName === 'union:wrapped') {
    const branch = branchFor(written, own) ?? refuse(pair, written, own, path);
    const converted = fromAvro(pair, written, branch, value, reading, path);
    const isPlain = branch.typeName === 'null' || branchesOf(own, pair.own) !== undefined;
    return isPlain ? converted : { [branch.branchName]: converted };
  }
  if (!fits(written, own)) refuse(pair, written, own, path);
  const inside = (from: AvroType, to: AvroType, item: unknown, key: unknown): unknown => {
    path.push(key);
    const converted = fromAvro(pair, from, to, item, reading, path);
    path.pop();
    return converted;
  };
  const meaning = pair.own.logical.get(own);
  const stored = storedAs(pair, written, own, value, path);
  switch (meaning?.kind) {
    case 'date':
      return valid(fromDays(stored as number), path);
    case 'timestamp-millis':
      return valid(new Date(Number(stored)), path);
    case 'decimal': {
      const text = fromUnscaled(fromTwos(stored as Buffer), meaning.scale);
      return reading.decimal === undefined ? text : reading.decimal(text);
    }
  }
  switch (own.typeName) {
    case 'abstract:long':
      return reading.int64 === 'string' ? String(stored) : BigInt(stored as bigint | number);
    case 'float':
    case 'double':
      return Number(value);
    case 'string':
      return typeof value === 'string' ? value : toText(value as Buffer, path);
    case 'bytes':
      return Uint8Array.from(typeof value === 'string' ? Buffer.from(value) : (value as Buffer));
    case 'fixed':
      return Uint8Array.from(value as Buffer);
    case 'enum': {
      const symbol = own.symbols.includes(value as string) ? value : own.default;
      return symbol ?? fail(path, `is ${describe(value)}, and can only be read as ${own.symbols.join(', ')}`);
    }
    case 'array':
      return (value as unknown[]).map((item, at) => inside(written.itemsType, own.itemsType, item, at));
    case 'map': {
      const entries = Object.entries(value as object);
      return Object.fromEntries(
        entries.map(([key, item]) => [key, inside(written.valuesType, own.valuesType, item, key)]),
      );
    }
    case 'record':
    case 'error': {
      const record: Record<string, unknown> = {};
      for (const field of own.fields) {
        const { name, type } = field;
        const source = sourceOf(written, field);
        if (source !== undefined) {
          record[name] = inside(source.type, type, (value as Record<string, unknown>)[source.name], name);
          continue;
        }
        const filler = field.defaultValue();
        if (filler === undefined) fail([...path, name], 'was not written, and has no default');
        record[name] = fromAvro({ written: pair.own, own: pair.own }, type, type, filler, reading, [
          ...path,
          name,
        ]);
      }
      return record;
    }
    default:
      return value;
  }
}

/** A value as the own type stores it, where both types have a meaning; else as it is. */
function storedAs(
  pair: Pair,
  written: AvroType,
  own: AvroType,
  value: unknown,
  path: readonly unknown[],
): unknown {
  const from = pair.written.logical.get(written);
  const to = pair.own.logical.get(own);
  if (from === undefined || to === undefined) {
    // A decimal's bytes are no text.
    const isDecimal = from?.kind === 'decimal' || to?.kind === 'decimal';
    return isDecimal && written.typeName !== own.typeName ? refuse(pair, written, own, path) : value;
  }
  const stored = asLogical(value, from, to);
  if (stored !== undefined) return stored;
  const shown =
    from.kind === 'decimal' ? fromUnscaled(fromTwos(value as Buffer), from.scale) : describe(value);
  return fail(
    path,
    `was written as ${nameOf(written, pair.written)} ${shown}, and that cannot be read as ${nameOf(own, pair.own)}`,
  );
}

function unwrap(union: AvroType, value: unknown): [branch: AvroType, item: unknown] {
  const [name, item] = value === null ? ['null', null] : Object.entries(value as object)[0]!;
  return [union.types.find(({ branchName }) => branchName === name)!, item];
}

/** Bytes that are no text are not read as one: some would be lost. */
const toText = (bytes: Buffer, path: readonly unknown[]): string =>
  isUtf8(bytes)
    ? bytes.toString()
    : fail(path, 'has bytes that are not UTF-8, and can only be read as a string');

const valid = (date: Date, path: readonly unknown[]): Date =>
  Number.isNaN(date.getTime()) ? fail(path, 'is a time that is beyond what a Date can hold') : date;

const refuse = ({ written, own }: Pair, from: AvroType, to: AvroType, path: readonly unknown[]): never =>
  fail(path, `was written as ${nameOf(from, written)}, and cannot be read as ${nameOf(to, own)}`);

function fail(path: readonly unknown[], what: string): never {
  throw new SerializationError(`${placeIn(path)} ${what}`);
}
