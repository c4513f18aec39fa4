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
 * types are plain ones that are looked up in `logical`: avsc's own would get in the way of resolving schemas.
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
  for (const part of parts) avsc.Type.forSchema(JSON.parse(part.text), options as never);
  return { type: avsc.Type.forSchema(JSON.parse(text), options as never) as unknown as AvroType, logical };
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
    toJSON: Number,
    isValid: (value: unknown) => typeof value === 'bigint',
    compare: (one: bigint, other: bigint) => (one < other ? -1 : one > other ? 1 : 0),
  });
