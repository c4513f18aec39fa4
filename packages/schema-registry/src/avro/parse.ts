import type { CompleteSchema } from '../registry/schema.ts';
import type { AvroType, Avsc } from './library.ts';
import { type Logical, logicalOf } from './logical.ts';

/** A schema, and which of the types in it mean something else than they are. */
export interface AvroCodec {
  readonly type: AvroType;
  readonly logical: WeakMap<object, Logical>;
}

type Hook = (schema: unknown, options: object) => unknown;

const LONG_BYTES = 8;

/**
 * Makes avsc's type of a schema and of all that it refers to. Longs are bigints there, unions always wrapped, and logical
 * types are plain ones that are looked up in `logical`: what a value means is told by two schemas.
 *
 * @throws {Error} when the schema is not valid
 */
export function parse(avsc: Avsc, { text, parts }: CompleteSchema): AvroCodec {
  const logical = new WeakMap<object, Logical>();
  const typeHook: Hook = (schema, options) => {
    if (typeof schema !== 'object' || schema === null) return undefined;
    const { type, logicalType } = schema as { type?: unknown; logicalType?: unknown };
    const meaning = logicalType === undefined ? undefined : logicalOf(schema as Record<string, unknown>);
    if (meaning === undefined) return type === 'long' ? long : undefined;
    // A type of its own, since only its meaning tells it from others.
    const plain =
      type === 'long'
        ? newLong(avsc)
        : avsc.Type.forSchema(schema as never, { ...options, typeHook: undefined } as never);
    logical.set(plain as object, meaning);
    return plain;
  };
  const long = newLong(avsc);
  const options = { registry: { long }, typeHook, wrapUnions: true, omitRecordMethods: true };
  for (const part of parts) avsc.Type.forSchema(parseText(part.text) as never, options as never);
  return {
    type: avsc.Type.forSchema(parseText(text) as never, options as never) as unknown as AvroType,
    logical,
  };
}

/** Integers that a double does not hold become bigints, so that defaults of longs keep their digits. */
function parseText(text: string): unknown {
  const revive = (_key: string, value: unknown, { source }: { source: string }): unknown => {
    if (typeof value === 'number') return isLong(value, source) ? BigInt(source) : value;
    const { type, default: filler } = Object(value) as { type?: unknown; default?: unknown };
    const isNumber = typeof filler === 'bigint' && isFloating(type);
    return isNumber ? { ...(value as object), default: Number(filler) } : value;
  };
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

const isLong = (value: number, source: string): boolean =>
  Number.isInteger(value) &&
  !Number.isSafeInteger(value) &&
  /^-?\d+$/.test(source) &&
  BigInt.asIntN(64, BigInt(source)) === BigInt(source);

/** Whether a default of a type is a float's or a double's; a union's is of its first branch. */
function isFloating(type: unknown): boolean {
  if (Array.isArray(type)) return isFloating(type[0]);
  const { type: inner } = Object(type) as { type?: unknown };
  return type === 'float' || type === 'double' || inner === 'float' || inner === 'double';
}

const newLong = (avsc: Avsc): unknown =>
  avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const bytes = Buffer.alloc(LONG_BYTES);
      bytes.writeBigInt64LE(value);
      return bytes;
    },
    fromJSON: BigInt,
    // avsc copies defaults by this and `fromJSON`.
    toJSON: (value: bigint) => value,
    isValid: (value: unknown) => typeof value === 'bigint',
    compare: (one: bigint, other: bigint) => (one < other ? -1 : one > other ? 1 : 0),
  });
