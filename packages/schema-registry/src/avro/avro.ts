import { ConfigError, check, type Serializer } from '@ambus/core';
import type { Format } from '../serializer/format.ts';
import {
  COMMON,
  type CommonOptions,
  checkSerializer,
  entriesCheck,
  type LocalSchema,
  type RemoteSchema,
} from '../serializer/options.ts';
import { RegistrySerializer } from '../serializer/serializer.ts';
import { assertBody } from './bounds.ts';
import { avroFields } from './fields.ts';
import { type Avsc, loadAvsc } from './library.ts';
import { type AvroCodec, parse } from './parse.ts';
import { type Reading, Resolution } from './read.ts';
import { toAvro } from './write.ts';

/** An Avro schema: as an object, an array (a union), its JSON text, or the name of a primitive type. */
export type AvroSchema = object | string;

export interface AvroOptions extends CommonOptions<LocalSchema<AvroSchema> | RemoteSchema> {
  /** What a `long` arrives as: `bigint` (default) or `string`. Written from either, or a safe integer. */
  readonly int64?: 'bigint' | 'string' | undefined;
  /** Makes what a `decimal` arrives as of its digits: `(text) => new Decimal(text)`. Default: the text, `12.30`. */
  readonly decimal?: ((text: string) => unknown) | undefined;
}

const PRIMITIVES = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'];

const isSchema: check.Check = (value) =>
  typeof value === 'object' && value !== null ? undefined : check.text(10_000_000)(value);

const SPEC: check.Spec<AvroOptions> = {
  ...COMMON,
  schemas: entriesCheck(isSchema, {}),
  int64: check.oneOf('bigint', 'string'),
  decimal: check.callable,
};

/**
 * Avro, on avsc (`npm install avsc`), in Confluent's wire format.
 *
 * A `long` is a bigint, whatever its value; `date` and `timestamp-millis` are a `Date`, `decimal` its digits as a text, and
 * all other logical types what they are stored as: a timestamp of microseconds is a bigint, for a `Date` would lose them.
 * Bytes are a `Uint8Array` of the application's own. A value of a union is the value itself, unless two branches look the
 * same in JavaScript (two records, an int and a double): then it is an object that names the branch, both ways.
 *
 * Nothing is written differently from what was given: unknown fields, wrong types and what does not fit are refused, with
 * the place in the error's text. A field that is undefined gets its default, or null where its union has that.
 *
 * @throws {ConfigError} when an option or a schema is not valid, or avsc is not installed
 */
export async function avro(options: AvroOptions = {}): Promise<Serializer> {
  checkSerializer('avro', options, SPEC);
  const format = avroFormat(await loadAvsc(), { int64: options.int64 ?? 'bigint', decimal: options.decimal });
  return new RegistrySerializer(format, options);
}

type Entry = LocalSchema<AvroSchema> | RemoteSchema;

const avroFormat = (avsc: Avsc, reading: Reading): Format<AvroSchema, Entry, AvroCodec> => ({
  type: 'AVRO',
  contentType: 'application/vnd.confluent.avro',
  toText(schema) {
    if (typeof schema !== 'string') return JSON.stringify(schema);
    if (PRIMITIVES.includes(schema)) return JSON.stringify(schema);
    try {
      JSON.parse(schema);
      return schema;
    } catch (cause) {
      throw new ConfigError(`avro option "schemas": a schema is no JSON: ${(cause as Error).message}`, {
        cause,
      });
    }
  },
  compile: (schema) => parse(avsc, schema),
  writer: (codec) => ({
    record: codec.type.name,
    write: (data) => codec.type.toBuffer(toAvro(codec, codec.type, data)),
  }),
  reader(compile, own) {
    const written = compile();
    const { codec } = own ?? { codec: written };
    const read = new Resolution(written, codec, reading).reader(written.type, codec.type);
    return (body) => {
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
      assertBody(written.type, bytes);
      return read(written.type.fromBuffer(bytes), []);
    };
  },
  fields: avroFields,
});
