import { ConfigError, check, SerializationError, type Serializer } from '@ambus/core';
import { decodeMessage, encodeMessage } from '@ambus/core/protobuf';
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
import { protobufFields } from './fields.ts';
import { readIndexes, writeIndexes } from './indexes.ts';
import { type Library, loadProtobufjs } from './library.ts';
import { type ProtobufCodec, parse } from './parse.ts';

/** Which of a file's messages a topic's payloads are. */
export interface ProtobufMessage {
  /** Full name, `shop.OrderCreated`. Default: the first message of the file. */
  readonly message?: string | undefined;
}

/** The text of a `.proto` file, or a version of it. */
export type ProtobufEntry = (LocalSchema<string> | RemoteSchema) & ProtobufMessage;

export interface ProtobufOptions extends CommonOptions<ProtobufEntry> {
  /** What fields of 64-bit integers arrive as: `bigint` (default) or `string`. Written from either, or a safe integer. */
  readonly int64?: 'bigint' | 'string' | undefined;
  /** What enums arrive as: `number` (default), or `string` for their names. Written from either. */
  readonly enums?: 'number' | 'string' | undefined;
  /** Fields are named as in the `.proto` file (`order_id`). Default false: in camel case (`orderId`). */
  readonly keepCase?: boolean | undefined;
}

const SPEC: check.Spec<ProtobufOptions> = {
  ...COMMON,
  schemas: entriesCheck<ProtobufMessage>(check.text(10_000_000), { message: check.text() }),
  int64: check.oneOf('bigint', 'string'),
  enums: check.oneOf('number', 'string'),
  keepCase: check.boolean,
};

/**
 * Protocol Buffers, on protobufjs (`npm install protobufjs`), in Confluent's wire format with its message indexes.
 *
 * Values are as with `@ambus/core/protobuf`. A message is read with the topic's own schema where that has the type that was
 * written, else with the schema that it was written with.
 *
 * @throws {ConfigError} when an option or a schema is not valid, or protobufjs is not installed
 */
export async function protobuf(options: ProtobufOptions = {}): Promise<Serializer> {
  checkSerializer('protobuf', options, SPEC);
  return new RegistrySerializer(protobufFormat(await loadProtobufjs(), options), options);
}

function protobufFormat(
  library: Library,
  options: ProtobufOptions,
): Format<string, ProtobufEntry, ProtobufCodec> {
  const reading = { int64: options.int64 ?? 'bigint', enums: options.enums ?? 'number' };
  return {
    type: 'PROTOBUF',
    contentType: 'application/vnd.confluent.protobuf',
    toText: (schema) => schema,
    compile: (schema) => parse(library, schema, options.keepCase ?? false),
    writer(codec, { message }) {
      const [indexes, record] = find(codec, message);
      const type = codec.root.lookupType(record);
      const start = writeIndexes(indexes.split(',').map(Number));
      return {
        record,
        write: (data) => Buffer.concat([start, encodeMessage(type, data)]),
      };
    },
    reader(compile, own) {
      const written = compile();
      const ours = new Set(own?.codec.messages.values());
      return (body) => {
        const { indexes, length } = readIndexes(body);
        const name = written.messages.get(indexes.join());
        if (name === undefined) {
          throw new SerializationError(`its schema has no message with the indexes ${indexes.join(', ')}`);
        }
        const { root } = ours.has(name) ? own!.codec : written;
        return decodeMessage(root.lookupType(name), body.subarray(length), reading);
      };
    },
    fields: protobufFields,
  };
}

function find(
  { messages }: ProtobufCodec,
  message: string | undefined,
): readonly [indexes: string, name: string] {
  const found = [...messages].find(([, name]) => message === undefined || name === message);
  if (found !== undefined) return found;
  throw new ConfigError(
    `protobuf option "schemas": there is no message ${message === undefined ? 'in the schema' : `"${message}"; there are ${[...messages.values()].join(', ') || 'none'}`}`,
  );
}
