import { isUtf8 } from 'node:buffer';
import { describe, SerializationError } from '@ambus/core';
import { placeIn } from '../serializer/place.ts';
import { nameOf } from './fields.ts';
import type { AvroField, AvroType } from './library.ts';
import { asLogical, fromDays, fromTwos, fromUnscaled } from './logical.ts';
import type { AvroCodec } from './parse.ts';
import { branchFor, fits, sourceOf } from './resolve.ts';
import { branchesOf } from './union.ts';

/** How values arrive. */
export interface Reading {
  readonly int64: 'bigint' | 'string';
  readonly decimal: ((text: string) => unknown) | undefined;
}

/** Keys from the outside in: one array, added to on the way in and taken from on the way out. */
type Path = unknown[];

/**
 * Turns what avsc decoded into a plain value of the application's own.
 *
 * @throws {SerializationError} naming the value that cannot be read
 */
type Read = (value: unknown, path: Path) => unknown;

/**
 * Reads what one schema wrote as another one. Value by value, as Avro has it: that some values of a schema cannot be read
 * does not keep others from it.
 */
export class Resolution {
  readonly #written: AvroCodec;
  readonly #own: AvroCodec;
  readonly #reading: Reading;
  /** By the written type and the own one: a record may contain itself. */
  readonly #records = new Map<AvroType, Map<AvroType, Read>>();

  constructor(written: AvroCodec, own: AvroCodec, reading: Reading) {
    this.#written = written;
    this.#own = own;
    this.#reading = reading;
  }

  reader(written: AvroType, own: AvroType): Read {
    if (written.typeName === 'union:wrapped') return this.#fromUnion(written, own);
    if (own.typeName === 'union:wrapped') return this.#toUnion(written, own);
    if (!fits(written, own)) return this.#refusal(written, own);
    return this.#logical(written, own) ?? this.#plain(written, own);
  }

  #fromUnion(union: AvroType, own: AvroType): Read {
    const branches = new Map(union.types.map((type) => [type.branchName, this.reader(type, own)]));
    return (value, path) => {
      if (value === null) return branches.get('null')!(null, path);
      const [name, item] = Object.entries(value as object)[0]!;
      return branches.get(name)!(item, path);
    };
  }

  #toUnion(written: AvroType, union: AvroType): Read {
    const branch = branchFor(written, union);
    if (branch === undefined) return this.#refusal(written, union);
    const read = this.reader(written, branch);
    const { branchName } = branch;
    const isPlain = branch.typeName === 'null' || branchesOf(union, this.#own) !== undefined;
    return isPlain ? read : (value, path) => ({ [branchName]: read(value, path) });
  }

  /** Undefined where neither type has a meaning that counts here. */
  #logical(written: AvroType, own: AvroType): Read | undefined {
    const from = this.#written.logical.get(written);
    const to = this.#own.logical.get(own);
    const isDecimal = [from, to].some((meaning) => meaning?.kind.endsWith('decimal'));
    // A decimal's bytes are no text.
    if (isDecimal && written.typeName !== own.typeName) return this.#refusal(written, own);
    if (to === undefined) return undefined;
    const stored: Read = (value, path) => {
      const converted = from === undefined ? value : asLogical(value, from, to);
      if (converted !== undefined) return converted;
      const shown =
        from?.kind === 'decimal' ? fromUnscaled(fromTwos(value as Buffer), from.scale) : describe(value);
      return fail(
        path,
        `was written as ${nameOf(written, this.#written)} ${shown}, and that cannot be read as ${nameOf(own, this.#own)}`,
      );
    };
    const { decimal } = this.#reading;
    switch (to.kind) {
      case 'date':
        return (value, path) => toDate(fromDays(stored(value, path) as number), path);
      case 'timestamp-millis':
        return (value, path) => toDate(new Date(Number(stored(value, path))), path);
      case 'decimal':
        return (value, path) => {
          const text = fromUnscaled(fromTwos(stored(value, path) as Buffer), to.scale);
          return decimal === undefined ? text : decimal(text);
        };
      default: {
        const read = this.#plain(written, own);
        return (value, path) => read(stored(value, path), path);
      }
    }
  }

  #plain(written: AvroType, own: AvroType): Read {
    switch (own.typeName) {
      case 'abstract:long':
        return this.#reading.int64 === 'string' ? String : (value) => BigInt(value as bigint | number);
      case 'float':
      case 'double':
        return Number;
      case 'string':
        return written.typeName === 'bytes' ? toText : (value) => value;
      case 'bytes':
      case 'fixed':
        return written.typeName === 'string'
          ? (value) => Uint8Array.from(Buffer.from(value as string))
          : (value) => Uint8Array.from(value as Buffer);
      case 'enum':
        return toSymbol(own);
      case 'array':
        return this.#array(written, own);
      case 'map':
        return this.#map(written, own);
      case 'record':
      case 'error':
        return this.#record(written, own);
      default:
        return (value) => value;
    }
  }

  #array(written: AvroType, own: AvroType): Read {
    const read = inside(this.reader(written.itemsType, own.itemsType));
    return (value, path) => (value as unknown[]).map((item, index) => read(item, path, index));
  }

  #map(written: AvroType, own: AvroType): Read {
    const read = inside(this.reader(written.valuesType, own.valuesType));
    return (value, path) =>
      Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, read(item, path, key)] as const),
      );
  }

  #record(written: AvroType, own: AvroType): Read {
    const known = this.#records.get(written) ?? new Map<AvroType, Read>();
    this.#records.set(written, known);
    const made = known.get(own);
    if (made !== undefined) return made;
    const fields: (readonly [name: string, read: Read])[] = [];
    const read: Read = (value, path) => {
      const record: Record<string, unknown> = {};
      for (const [name, readField] of fields) record[name] = readField(value, path);
      return record;
    };
    known.set(own, read);
    for (const field of own.fields) fields.push([field.name, this.#field(written, field)]);
    return read;
  }

  #field(written: AvroType, field: AvroField): Read {
    const { name, type } = field;
    const source = sourceOf(written, field);
    if (source !== undefined) {
      const read = inside(this.reader(source.type, type));
      return (record, path) => read((record as Record<string, unknown>)[source.name], path, name);
    }
    if (field.defaultValue() === undefined)
      return (_, path) => fail([...path, name], 'was not written, and has no default');
    const read = inside(new Resolution(this.#own, this.#own, this.#reading).reader(type, type));
    return (_, path) => read(field.defaultValue(), path, name);
  }

  #refusal(from: AvroType, to: AvroType): Read {
    const what = `was written as ${nameOf(from, this.#written)}, and cannot be read as ${nameOf(to, this.#own)}`;
    return (_, path) => fail(path, what);
  }
}

/** Keeps the path to a value within another one. */
const inside =
  (read: Read) =>
  (value: unknown, path: Path, key: unknown): unknown => {
    path.push(key);
    const converted = read(value, path);
    path.pop();
    return converted;
  };

const toSymbol =
  ({ symbols, default: other }: AvroType): Read =>
  (value, path) => {
    const symbol = symbols.includes(value as string) ? value : other;
    return symbol ?? fail(path, `is ${describe(value)}, and can only be read as ${symbols.join(', ')}`);
  };

/** Bytes that are no text are not read as one: some would be lost. */
const toText: Read = (bytes, path) =>
  isUtf8(bytes as Buffer)
    ? (bytes as Buffer).toString()
    : fail(path, 'has bytes that are not UTF-8, and can only be read as a string');

const toDate = (date: Date, path: Path): Date =>
  Number.isNaN(date.getTime()) ? fail(path, 'is a time that is beyond what a Date can hold') : date;

function fail(path: Path, what: string): never {
  throw new SerializationError(`${placeIn(path)} ${what}`);
}
