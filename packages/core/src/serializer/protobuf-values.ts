import type { Enum, Field, Message, Type } from 'protobufjs';
import { SerializationError } from '../errors.ts';
import { describe } from '../topic/topic.ts';
import { payloadPath } from './payload-path.ts';

/** A 64-bit integer as protobufjs takes and gives it. */
interface Long {
  readonly low: number;
  readonly high: number;
}

type MapKeyed = Field & { readonly keyType: string };

/** Keys down to the place that is being looked at: one array, added to on the way in and taken from on the way out. */
type Path = unknown[];

/** Deepest nesting, as in other implementations of protobuf. Also what ends a circular payload. */
const MAX_DEPTH = 100;

type Range = readonly [least: number | bigint, most: number | bigint];

/** Numbers for what a number holds: comparing bigints is slow. */
const RANGES: Readonly<Record<string, Range>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  sint32: [-(2 ** 31), 2 ** 31 - 1],
  sfixed32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  fixed32: [0, 2 ** 32 - 1],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  sint64: [-(2n ** 63n), 2n ** 63n - 1n],
  sfixed64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  fixed64: [0n, 2n ** 64n - 1n],
};
const isLong = (type: string): boolean => type.endsWith('64');
const isUnsigned = (type: string): boolean => type === 'uint64' || type === 'fixed64';
/** Told by what they have, not by their class: the application may have loaded a second copy of protobufjs. */
const asEnum = (field: Field): Enum | undefined =>
  field.resolvedType !== null && 'values' in field.resolvedType ? field.resolvedType : undefined;

/**
 * Turns a payload into what protobufjs encodes without changing it.
 *
 * @param path - where `data` is in the payload
 * @throws {SerializationError} naming the field and what it must be
 */
export function toMessage(type: Type, data: unknown, path: Path = []): object {
  const kind = Object.prototype.toString.call(data).slice(8, -1);
  // A Date or a Map has no properties, and would be an empty message.
  if (kind !== 'Object' || typeof data !== 'object' || data === null) {
    const is = kind === 'Array' || typeof data !== 'object' || data === null ? describe(data) : `a ${kind}`;
    throw new SerializationError(
      `${payloadPath(path)} must be a plain object for ${nameOf(type)}, and is ${is}`,
    );
  }
  if (path.length > MAX_DEPTH)
    throw new SerializationError(`${payloadPath(path.slice(0, 4))}… is nested too deeply`);
  const message: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(data)) {
    if (value === undefined || value === null) continue;
    const field = Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
    path.push(name);
    if (field === undefined) {
      throw new SerializationError(
        `${payloadPath(path)}: ${nameOf(type)} has no such field; it has ${Object.keys(type.fields).join(', ')}`,
      );
    }
    message[name] = toField(field, value, path);
    path.pop();
  }
  return message;
}

function toField(field: Field, value: unknown, path: Path): unknown {
  if (field.map) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw refusal(path, `must be an object, as ${nameOf(field)} is a map`, value);
    }
    const { keyType } = field as MapKeyed;
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    return Object.fromEntries(
      entries.map(([key, child]) => [toKey(keyType, key, path), toItem(field, child, path, key)]),
    );
  }
  if (!field.repeated) return toValue(field, value, path);
  if (!Array.isArray(value)) throw refusal(path, `must be an array, as ${nameOf(field)} is repeated`, value);
  return Array.from(value, (child, index) => toItem(field, child, path, index));
}

function toItem(field: Field, value: unknown, path: Path, key: unknown): unknown {
  path.push(key);
  const item = toValue(field, value, path);
  path.pop();
  return item;
}

function toKey(type: string, key: unknown, path: Path): string {
  const text = String(key);
  const range = RANGES[type];
  const right =
    range !== undefined
      ? /^(?:0|-?[1-9]\d*)$/.test(text) && inRange(range, BigInt(text))
      : type === 'bool'
        ? text === 'true' || text === 'false'
        : typeof key === 'string' && text.isWellFormed();
  if (!right) throw refusal(path, `must have keys of type ${type}`, key);
  return text;
}

function toValue(field: Field, value: unknown, path: Path): unknown {
  const choices = asEnum(field);
  if (choices !== undefined) return toEnum(choices, value, path);
  if (field.resolvedType !== null) return toMessage(field.resolvedType as Type, value, path);
  const { type } = field;
  const range = RANGES[type];
  if (range !== undefined) return toInteger(field, range, value, path);
  const right =
    type === 'bytes'
      ? value instanceof Uint8Array
      : type === 'bool'
        ? typeof value === 'boolean'
        : type === 'string'
          ? typeof value === 'string' && value.isWellFormed()
          : typeof value === 'number' && (type === 'double' || fitsFloat(value));
  if (right) return value;
  const wanted = type === 'bytes' ? 'a Uint8Array' : type === 'string' ? 'a well-formed string' : `a ${type}`;
  throw refusal(path, `must be ${wanted} for ${nameOf(field)}`, value);
}

/** Whether storing it as a float keeps its magnitude. Fewer digits are what the type is for. */
const fitsFloat = (value: number): boolean => !Number.isFinite(value) || Number.isFinite(Math.fround(value));

function toEnum(choices: Enum, value: unknown, path: Path): number {
  if (typeof value === 'string' && Object.hasOwn(choices.values, value)) return choices.values[value]!;
  if (typeof value === 'number' && (value | 0) === value) return value;
  throw refusal(
    path,
    `must be one of ${Object.keys(choices.values).join(', ')} for ${nameOf(choices)}`,
    value,
  );
}

function toInteger(field: Field, range: Range, value: unknown, path: Path): number | Long {
  if (!isLong(field.type)) {
    if (typeof value === 'number' && Number.isInteger(value) && inRange(range, value)) return value;
    throw refusal(path, `must be an integer in the range of ${field.type} for ${nameOf(field)}`, value);
  }
  const exact = toBigInt(value, isUnsigned(field.type));
  if (exact !== undefined && inRange(range, exact)) return toLong(exact);
  const must = `must be a bigint, safe integer or string of digits in the range of ${field.type}`;
  throw refusal(path, `${must} for ${nameOf(field)}`, value);
}

function toBigInt(value: unknown, unsigned: boolean): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value === 'string') return /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
  const { low, high } = (value ?? {}) as Partial<Long>;
  return Number.isInteger(low) && Number.isInteger(high)
    ? fromLong({ low: low!, high: high! }, unsigned)
    : undefined;
}

const inRange = ([least, most]: Range, value: number | bigint): boolean => value >= least && value <= most;

const toLong = (value: bigint): Long => ({
  low: Number(BigInt.asIntN(32, value)),
  high: Number(BigInt.asIntN(32, value >> 32n)),
});

const fromLong = ({ low, high }: Long, unsigned: boolean): bigint =>
  (BigInt(unsigned ? high >>> 0 : high) << 32n) | BigInt(low >>> 0);

/** How values arrive. */
export interface Reading {
  readonly int64: 'bigint' | 'string';
  readonly enums: 'number' | 'string';
}

/** Turns what protobufjs decoded into a plain object with proto3's defaults. */
export function fromMessage(type: Type, message: Message, reading: Reading): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const { name } = field;
    const value = Object.hasOwn(message, name)
      ? (message as unknown as Record<string, unknown>)[name]
      : undefined;
    if (field.map) {
      const entries = Object.entries(value ?? {}).map(([key, child]) => [
        fromKey((field as MapKeyed).keyType, key),
        fromValue(field, child, reading),
      ]);
      data[name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      data[name] = ((value ?? []) as unknown[]).map((child) => fromValue(field, child, reading));
    } else if (value !== undefined && value !== null) {
      data[name] = fromValue(field, value, reading);
    } else if (field.partOf === null && (field.resolvedType === null || asEnum(field) !== undefined)) {
      data[name] = fromValue(field, field.typeDefault, reading);
    }
  }
  return data;
}

/** protobufjs has the eight bytes of a 64-bit key, each as a character, the lowest first. */
function fromKey(type: string, key: string): string {
  if (!isLong(type)) return key;
  const bytes = Buffer.from(key, 'latin1');
  return String(isUnsigned(type) ? bytes.readBigUInt64LE() : bytes.readBigInt64LE());
}

function fromValue(field: Field, value: unknown, { int64, enums }: Reading): unknown {
  const choices = asEnum(field);
  if (choices !== undefined) {
    return enums === 'string' ? (choices.valuesById[value as number] ?? value) : value;
  }
  if (field.resolvedType !== null)
    return fromMessage(field.resolvedType as Type, value as Message, { int64, enums });
  if (field.type === 'bytes') return Uint8Array.from(value as ArrayLike<number>);
  if (!isLong(field.type)) return value;
  const exact = typeof value === 'number' ? BigInt(value) : fromLong(value as Long, isUnsigned(field.type));
  return int64 === 'string' ? String(exact) : exact;
}

const nameOf = (named: { fullName: string }): string => named.fullName.slice(1);

function refusal(path: Path, must: string, value: unknown): SerializationError {
  return new SerializationError(`${payloadPath(path)} ${must}, and is ${describe(value)}`);
}
