import { describe, SerializationError } from '@ambus/core';
import { placeIn } from '../serializer/place.ts';
import type { AvroType } from './library.ts';
import { toDays, toTwos, toUnscaled } from './logical.ts';
import type { AvroCodec } from './parse.ts';
import { branchesOf, bucketOf, isDecimal } from './union.ts';

/** Keys from the outside in: one array, added to on the way in and taken from on the way out. */
type Path = unknown[];

/** Deepest nesting. Also what ends a circular payload. */
const MAX_DEPTH = 100;

const INT32 = 2 ** 31;
const INT64 = 2n ** 63n;

/**
 * Turns a payload into what avsc encodes without changing it.
 *
 * @throws {SerializationError} naming the field and what it must be
 */
export function toAvro(codec: AvroCodec, type: AvroType, value: unknown, path: Path = []): unknown {
  if (path.length > MAX_DEPTH) {
    throw new SerializationError(`${placeIn(path.slice(0, 4))}… is nested too deeply`);
  }
  const meaning = codec.logical.get(type);
  if (meaning?.kind === 'decimal') return toDecimal(type, meaning, value, path);
  if ((meaning?.kind === 'date' || meaning?.kind === 'timestamp-millis') && value instanceof Date)
    return fromDate(meaning.kind, value, path);
  switch (type.typeName) {
    case 'null':
      return value === null || value === undefined ? null : refuse(path, 'null', value);
    case 'boolean':
      return typeof value === 'boolean' ? value : refuse(path, 'a boolean', value);
    case 'int': {
      const fits = Number.isInteger(value) && (value as number) >= -INT32 && (value as number) < INT32;
      return fits ? value : refuse(path, 'an integer of 32 bits', value);
    }
    case 'abstract:long':
      return (
        toLong(value) ?? refuse(path, 'an integer of 64 bits: a bigint, a safe integer or its digits', value)
      );
    case 'float': {
      const fits =
        typeof value === 'number' && Number.isFinite(value) === Number.isFinite(Math.fround(value));
      return fits ? value : refuse(path, 'a number that a float can hold', value);
    }
    case 'double':
      return typeof value === 'number' ? value : refuse(path, 'a number', value);
    case 'string':
      return typeof value === 'string' && value.isWellFormed()
        ? value
        : refuse(path, 'a well-formed string', value);
    case 'enum':
      return type.symbols.includes(value as string)
        ? value
        : refuse(path, `one of ${type.symbols.join(', ')}`, value);
    case 'bytes':
      return toBytes(value) ?? refuse(path, 'a Uint8Array', value);
    case 'fixed':
      return value instanceof Uint8Array && value.length === type.size
        ? toBytes(value)
        : refuse(path, `a Uint8Array of ${type.size} bytes`, value);
    case 'array':
      if (!Array.isArray(value)) return refuse(path, 'an array', value);
      return Array.from(value, (item, index) => inside(codec, type.itemsType, item, path, index));
    case 'map':
      return toMap(codec, type, value, path);
    case 'record':
    case 'error':
      return toRecord(codec, type, value, path);
    default:
      return toUnion(codec, type, value, path);
  }
}

function inside(codec: AvroCodec, type: AvroType, value: unknown, path: Path, key: unknown): unknown {
  path.push(key);
  const converted = toAvro(codec, type, value, path);
  path.pop();
  return converted;
}

function toRecord(codec: AvroCodec, type: AvroType, value: unknown, path: Path): unknown {
  if (!isPlain(value)) return refuse(path, `an object for the record ${type.name}`, value);
  const record: Record<string, unknown> = {};
  const names = new Set<string>();
  for (const field of type.fields) {
    names.add(field.name);
    const given = value[field.name];
    if (given === undefined && field.defaultValue() !== undefined) continue;
    if (given === undefined && !takesNull(field.type)) {
      throw new SerializationError(
        `${placeIn([...path, field.name])} is missing: the field has no default in the record ${type.name}`,
      );
    }
    record[field.name] = inside(codec, field.type, given, path, field.name);
  }
  const unknown = Object.keys(value).find((name) => value[name] !== undefined && !names.has(name));
  if (unknown === undefined) return record;
  throw new SerializationError(
    `${placeIn([...path, unknown])}: the record ${type.name} has no such field; it has ${[...names].join(', ')}`,
  );
}

function toMap(codec: AvroCodec, type: AvroType, value: unknown, path: Path): unknown {
  if (!(value instanceof Map) && !isPlain(value)) return refuse(path, 'an object or a Map', value);
  const map: Record<string, unknown> = {};
  for (const [key, item] of value instanceof Map ? value : Object.entries(value)) {
    // avsc would lose this one when reading it.
    if (typeof key !== 'string' || !key.isWellFormed() || key === '__proto__') {
      return refuse(path, 'a map with well-formed texts for keys, and none "__proto__"', key);
    }
    if (item !== undefined) map[key] = inside(codec, type.valuesType, item, path, key);
  }
  return map;
}

function toUnion(codec: AvroCodec, type: AvroType, value: unknown, path: Path): unknown {
  const branches = branchesOf(type, codec);
  const names = type.types.map(({ branchName }) => branchName);
  if (value === null || value === undefined) {
    return takesNull(type) ? null : refuse(path, `one of ${names.join(', ')}`, value);
  }
  if (branches === undefined) {
    const [name, ...more] = isPlain(value) ? Object.keys(value) : [];
    const branch = more.length > 0 ? undefined : type.types.find(({ branchName }) => branchName === name);
    if (branch === undefined || branch.typeName === 'null') {
      return refuse(path, `an object that names its branch, { "${names.join('": … } or { "')}": … }`, value);
    }
    return { [name!]: inside(codec, branch, (value as Record<string, unknown>)[name!], path, name) };
  }
  const others = type.types.filter(({ typeName }) => typeName !== 'null');
  const branch = others.length === 1 ? others[0] : branches.get(bucketOf(value) ?? 'null');
  if (branch === undefined || branch.typeName === 'null')
    return refuse(path, `one of ${names.join(', ')}`, value);
  return { [branch.branchName]: toAvro(codec, branch, value, path) };
}

const takesNull = (type: AvroType): boolean =>
  type.typeName === 'null' ||
  (type.typeName === 'union:wrapped' && type.types.some(({ typeName }) => typeName === 'null'));

function toLong(value: unknown): bigint | undefined {
  const exact =
    typeof value === 'bigint'
      ? value
      : Number.isSafeInteger(value) || (typeof value === 'string' && /^-?\d{1,19}$/.test(value))
        ? BigInt(value as number | string)
        : undefined;
  return exact !== undefined && exact >= -INT64 && exact < INT64 ? exact : undefined;
}

function fromDate(kind: 'date' | 'timestamp-millis', date: Date, path: Path): unknown {
  const time = date.getTime();
  if (Number.isNaN(time)) return refuse(path, 'a valid Date', 'an invalid one');
  if (kind === 'timestamp-millis') return BigInt(time);
  return toDays(date) ?? refuse(path, 'a Date at midnight UTC', date.toISOString());
}

function toDecimal(
  type: AvroType,
  { precision, scale }: { readonly precision: number; readonly scale: number },
  value: unknown,
  path: Path,
): unknown {
  const isNumber = ['string', 'number', 'bigint'].includes(typeof value) || isDecimal(value);
  const unscaled = isNumber ? toUnscaled(String(value), precision, scale) : undefined;
  const size = type.typeName === 'fixed' ? type.size : undefined;
  const bytes = unscaled === undefined ? undefined : toTwos(unscaled, size);
  return (
    bytes ?? refuse(path, `a decimal number of ${precision} digits, ${scale} of them after the point`, value)
  );
}

const toBytes = (value: unknown): Buffer | undefined =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : undefined;

/** A Map, an Error or a class of the language has no properties of its own, and would arrive empty. */
const isPlain = (value: unknown): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === '[object Object]';

function refuse(path: Path, must: string, value: unknown): never {
  throw new SerializationError(`${placeIn(path)} must be ${must}, and is ${describe(value)}`);
}
