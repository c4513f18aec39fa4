import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Root, Type } from 'protobufjs';
import {
  arrayOf,
  boolean,
  type Check,
  checkOptions,
  either,
  object,
  oneOf,
  type Spec,
  text,
} from '../config/check.ts';
import { ConfigError, SerializationError } from '../errors.ts';
import { compilePattern } from '../topic/pattern.ts';
import { describe, patternProblem } from '../topic/topic.ts';
import { fromMessage, type Reading, toMessage } from './protobuf-values.ts';
import type { Serializer, SerializerContext } from './serializer.ts';

/** Where the message types are, which topic has which, and how values arrive. */
export interface ProtobufOptions {
  /**
   * A `.proto` file, a directory that is searched for them recursively, or several of either. An import is looked for
   * in these directories (a file's own, for a file), then beside the file that imports it.
   */
  readonly protoPath: string | readonly string[];
  /** Full name of the message type of topics that `types` does not have: `shop.Event`. Default: such topics are refused. */
  readonly defaultType?: string | undefined;
  /** Message types by topic pattern: `{ 'orders.*.created': 'shop.OrderCreated' }`. The first that matches counts. */
  readonly types?: Readonly<Record<string, string>> | undefined;
  /** What fields of 64-bit integers arrive as: `bigint` (default) or `string`. Written from either, or a safe integer. */
  readonly int64?: 'bigint' | 'string' | undefined;
  /** What enums arrive as: `number` (default), or `string` for their names. Written from either. */
  readonly enums?: 'number' | 'string' | undefined;
  /** Fields are named as in the `.proto` file (`order_id`). Default false: in camel case (`orderId`). */
  readonly keepCase?: boolean | undefined;
}

const names: Check = (value) => {
  const wrong = object(value);
  if (wrong !== undefined) return 'an object of type names by topic pattern';
  for (const [pattern, name] of Object.entries(value as object)) {
    const problem = patternProblem(pattern);
    if (problem !== undefined)
      return `an object of type names by topic pattern (${describe(pattern)} ${problem})`;
    if (typeof name !== 'string')
      return `an object of type names (${describe(pattern)} has ${describe(name)})`;
  }
  return undefined;
};

const SPEC: Spec<ProtobufOptions> = {
  protoPath: either(text(4096), arrayOf(text(4096))),
  defaultType: text(),
  types: names,
  int64: oneOf('bigint', 'string'),
  enums: oneOf('number', 'string'),
  keepCase: boolean,
};

/** Topics whose type is remembered; the map is dropped when it has grown to this. */
const REMEMBERED = 10_000;

/**
 * Protocol Buffers on protobufjs (`npm install protobufjs`). The body is the message alone and does not say its type:
 * the reader finds it by the topic, so both ends need the same rules in `types` and `defaultType`.
 *
 * Payloads are plain objects. A field that is undefined or null is not set. Nothing is written differently from what was
 * given: numbers out of a field's range, wrong types and unknown fields are refused. Fields that did not arrive have
 * their default as in proto3; message fields, members of a `oneof` and `optional` fields are then absent. Bytes arrive as
 * `Uint8Array`, never a view of the body, and maps as plain objects.
 *
 * Its `serialize` and `deserialize` throw a `SerializationError` that names field and type, or the topic that has none.
 *
 * @throws {ConfigError} when an option is not allowed, a path or type does not exist, a file is not valid, or protobufjs
 * is not installed
 */
export async function protobuf(options: ProtobufOptions): Promise<Serializer> {
  checkOptions('protobuf option', options, SPEC, ConfigError);
  if (options?.protoPath === undefined || options.protoPath.length === 0) {
    throw new ConfigError('protobuf option "protoPath" is needed: a .proto file or a directory of them');
  }
  const root = await load([options.protoPath].flat(), options.keepCase ?? false);
  const defaultType = options.defaultType === undefined ? undefined : findType(root, options.defaultType);
  const rules = Object.entries(options.types ?? {}).map(([pattern, name]) => ({
    matches: compilePattern(pattern),
    type: findType(root, name),
  }));

  const known = new Map<string, Type>();
  const typeOf = (topic: string): Type => {
    let type = known.get(topic);
    if (type !== undefined) return type;
    type = rules.find((rule) => rule.matches(topic))?.type ?? defaultType;
    if (type === undefined) {
      throw new SerializationError(
        `topic "${topic}" has no protobuf message type (options "types" and "defaultType")`,
      );
    }
    if (known.size >= REMEMBERED) known.clear();
    known.set(topic, type);
    return type;
  };

  const reading = { int64: options.int64 ?? 'bigint', enums: options.enums ?? 'number' };
  return {
    contentType: 'application/protobuf',
    serialize(data: unknown, { topic }: SerializerContext): Uint8Array {
      return attempt(topic, `the payload for topic "${topic}" is not what its protobuf type says`, () => {
        return encodeMessage(typeOf(topic), data);
      });
    },
    deserialize(body: Uint8Array, { topic }: SerializerContext): unknown {
      return attempt(
        topic,
        `the body of ${body.length} bytes is not the protobuf message of topic "${topic}"`,
        () => decodeMessage(typeOf(topic), body, reading),
      );
    },
  };
}

/**
 * Writes a payload as a message of a type of protobufjs, by the rules of `protobuf()`.
 *
 * @throws {SerializationError} naming the field that does not fit
 */
export function encodeMessage(type: Type, data: unknown): Uint8Array {
  const message = toMessage(type, data) as Record<string, unknown>;
  const wrong = type.verify(message);
  if (wrong !== null) throw new SerializationError(`payload is no ${type.fullName.slice(1)}: ${wrong}`);
  return type.encode(message).finish();
}

/** Reads what `encodeMessage` wrote, in whatever language. Throws protobufjs's own errors when it is no such message. */
export function decodeMessage(type: Type, body: Uint8Array, reading: Reading): Record<string, unknown> {
  return fromMessage(type, type.decode(Buffer.from(body.buffer, body.byteOffset, body.length)), reading);
}

function attempt<T>(topic: string, what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (SerializationError.is(cause))
      throw new SerializationError(cause.message, { topic, cause: cause.cause });
    throw new SerializationError(`${what}: ${(cause as Error).message}`, { topic, cause });
  }
}

async function load(paths: readonly string[], keepCase: boolean): Promise<Root> {
  const { Root } = await loadLibrary();
  const root = new Root();
  const files = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths) {
    const full = resolve(path);
    const found = await protoFiles(full);
    for (const file of found) files.add(file);
    folders.add(found.length === 1 && found[0] === full ? dirname(full) : full);
  }
  root.resolvePath = (origin, target) => {
    if (isAbsolute(target)) return target;
    const beside = resolve(dirname(origin), target);
    return [...folders].map((folder) => join(folder, target)).find((file) => existsSync(file)) ?? beside;
  };
  try {
    // Its asynchronous way throws where nobody can catch it when a field's type does not exist.
    root.loadSync([...files], { keepCase }).resolveAll();
    return root;
  } catch (cause) {
    throw new ConfigError(`protobuf option "protoPath": ${(cause as Error).message}`, { cause });
  }
}

async function loadLibrary(): Promise<typeof import('protobufjs')> {
  try {
    const library = await import('protobufjs');
    return library.default ?? library;
  } catch (cause) {
    throw new ConfigError(
      `the Protobuf serializer needs the package protobufjs (npm install protobufjs): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}

/** In a stable order, because the order of files shows in errors. */
async function protoFiles(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true });
    const files = entries.filter((entry) => entry.endsWith('.proto')).map((entry) => join(path, entry));
    if (files.length > 0) return files.sort();
  } catch (cause) {
    throw new ConfigError(`protobuf option "protoPath": ${(cause as Error).message}`, { cause });
  }
  throw new ConfigError(`protobuf option "protoPath": there is no .proto file in ${path}`);
}

/** By full name only: protobufjs would also find it by the last part, in whichever package comes first. */
function findType(root: Root, name: string): Type {
  const wanted = name.replace(/^\./, '');
  const all = typesIn(root.toJSON().nested);
  if (all.includes(wanted)) return root.lookupType(wanted);
  throw new ConfigError(
    `protobuf message type "${name}" does not exist in "protoPath"; there are ${all.slice(0, 20).join(', ') || 'none'}`,
  );
}

/** Full names of the message types in a namespace as protobufjs describes it. */
function typesIn(nested: object | undefined, prefix = ''): string[] {
  return Object.entries(nested ?? {}).flatMap(
    ([name, item]: [string, { fields?: object; nested?: object }]) => [
      ...(item.fields === undefined ? [] : [prefix + name]),
      ...typesIn(item.nested, `${prefix}${name}.`),
    ],
  );
}
