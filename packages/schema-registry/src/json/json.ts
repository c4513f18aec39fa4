import { ConfigError, check, type JsonOptions, json, type Serializer } from '@ambus/core';
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
import { compile, type JsonCodec } from './compile.ts';
import { jsonFields } from './fields.ts';
import { type Ajvs, loadAjv } from './library.ts';

type Entry = LocalSchema<object | string> | RemoteSchema;

export interface JsonSchemaOptions extends CommonOptions<Entry> {
  /** How values become JSON, and what they arrive as: the options of core's `json()`. */
  readonly json?: JsonOptions | undefined;
}

const isSchema: check.Check = (value) =>
  check.object(value) === undefined ? undefined : check.text(10_000_000)(value);

const SPEC: check.Spec<JsonSchemaOptions> = {
  ...COMMON,
  schemas: entriesCheck(isSchema, {}),
  json: check.object,
};

/**
 * JSON with a JSON Schema (draft 7, 2019-09 or 2020-12), on ajv (`npm install ajv`), in Confluent's wire format.
 *
 * What is validated is the JSON: a `Date` is a string by then. On arrival it is held against the topic's own schema, and
 * where it has none against the one that it was written with. `format` is not validated, as the standard has it.
 *
 * @throws {ConfigError} when an option or a schema is not valid, or ajv is not installed
 */
export async function jsonSchema(options: JsonSchemaOptions = {}): Promise<Serializer> {
  checkSerializer('jsonSchema', options, SPEC);
  return new RegistrySerializer(jsonFormat(await loadAjv(), json(options.json ?? {})), options);
}

/** Core's serializer looks at neither. */
const CONTEXT = { topic: '', headers: {} };

const jsonFormat = (ajvs: Ajvs, plain: Serializer): Format<object | string, Entry, JsonCodec> => ({
  type: 'JSON',
  contentType: 'application/vnd.confluent.json',
  toText(schema) {
    if (typeof schema !== 'string') return JSON.stringify(schema);
    try {
      JSON.parse(schema);
      return schema;
    } catch (cause) {
      throw new ConfigError(`jsonSchema option "schemas": a schema is no JSON: ${(cause as Error).message}`, {
        cause,
      });
    }
  },
  compile: (schema) => compile(ajvs, schema),
  writer: (codec) => ({
    record: codec.title,
    write(data) {
      const body = plain.serialize(data, CONTEXT) as Uint8Array;
      codec.assert(parse(body));
      return body;
    },
  }),
  reader(written, own) {
    const wanted = own?.codec ?? written();
    return (body) => {
      const data = plain.deserialize(body, CONTEXT);
      wanted.assert(parse(body));
      return data;
    };
  },
  fields: jsonFields,
});

/** What anybody's JSON parser makes of it; no payload at all is an empty body. */
const parse = (body: Uint8Array): unknown =>
  body.length === 0
    ? undefined
    : JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString());
