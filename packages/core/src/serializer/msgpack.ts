import { createRequire } from 'node:module';
import { checkOptions, oneOf, type Spec, shaped } from '../config/check.ts';
import { ConfigError, SerializationError } from '../errors.ts';
import { Inspector } from './msgpack-inspect.ts';
import { isPackable, MsgpackWriter, mapsToObjects } from './msgpack-values.ts';
import type { Serializer, SerializerContext } from './serializer.ts';

/** How `msgpack()` treats what MessagePack and JavaScript see differently. */
export interface MsgpackOptions {
  /**
   * What MessagePack's one kind of map arrives as. `auto` (default): a plain object where all its keys are strings, or
   * else a `Map`; so a `Map` of string keys only arrives as an object. `map`: always a `Map`. `object`: always an object,
   * other keys as their strings.
   */
  readonly maps?: 'auto' | 'map' | 'object' | undefined;
  /**
   * `timestamp` (default): a `Date` is written as MessagePack's timestamp. `iso`: as a string, for readers that do not
   * know timestamps, and arrives as one. An arriving timestamp is always a `Date`, in whole milliseconds.
   */
  readonly dates?: 'timestamp' | 'iso' | undefined;
  /**
   * What an arriving integer of 64 bits becomes. `bigint` (default): every `bigint` makes it through unchanged. `auto`:
   * a number up to 2^53, beyond that a `bigint`. `string`: its digits. Numbers are written in 32 bits or as doubles, so
   * they arrive as numbers in any case.
   */
  readonly int64?: 'bigint' | 'auto' | 'string' | undefined;
  /** The msgpackr package. Default: loaded by name; for applications bundled into one file, `import * as msgpackr from 'msgpackr'`. */
  readonly msgpackr?: Msgpackr | undefined;
}

/** What is used of msgpackr. */
export interface Msgpackr {
  readonly Packr: new (options: object) => Packr;
}

interface Packr {
  pack(value: unknown): Uint8Array;
  unpack(bytes: Uint8Array): unknown;
}

const SPEC: Spec<MsgpackOptions> = {
  maps: oneOf('auto', 'map', 'object'),
  dates: oneOf('timestamp', 'iso'),
  int64: oneOf('bigint', 'auto', 'string'),
  msgpackr: shaped('the msgpackr package', 'Packr'),
};

const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * MessagePack on msgpackr (`npm install msgpackr`), as any other language reads it: msgpackr's own extensions (records,
 * sets, typed arrays) are not written.
 *
 * Beyond JSON it holds binary (arrives as `Uint8Array`, never a view of the body), `Date`, `bigint` of 64 bits, `Map`
 * with any keys, NaN and infinities. Like JSON: objects of a class arrive as plain objects, of their properties or of
 * what their `toJSON` returns; properties that are `undefined` are left out, elsewhere `undefined` arrives as null, and
 * -0 as 0. `undefined` as the whole payload is an empty body, and back.
 *
 * Its `serialize` and `deserialize` throw a `SerializationError` that names the place for larger bigints, invalid
 * dates, functions, symbols, sets, other typed arrays, other built-in objects, strings with a lone surrogate and
 * circular payloads, and one for a body that is not exactly one MessagePack value.
 *
 * @throws {ConfigError} when an option is not allowed, or msgpackr is not installed
 */
export function msgpack(options: MsgpackOptions = {}): Serializer {
  checkOptions('msgpack option', options, SPEC, ConfigError);
  const { maps = 'auto', dates = 'timestamp', int64 = 'bigint' } = options;
  const { Packr } = options.msgpackr ?? load();
  const settings = {
    useRecords: false,
    moreTypes: false,
    structuredClone: false,
    variableMapSize: true,
    encodeUndefinedAsNil: true,
    skipValues: [undefined],
    int64AsType: int64,
    copyBuffers: true,
  };
  const toObjects = new Packr({ ...settings, mapsAsObjects: true });
  const toMaps = new Packr({ ...settings, mapsAsObjects: false });

  const unpack = (body: Uint8Array): unknown => {
    const { binary, keys } = new Inspector(body);
    // A view: msgpackr leaves a mark on the object it reads. Only from a Buffer it reads short strings fast, but it
    // would then give Buffers for binary.
    const { buffer, byteOffset, byteLength } = body;
    const view = binary
      ? new Uint8Array(buffer, byteOffset, byteLength)
      : Buffer.from(buffer, byteOffset, byteLength);
    if (maps === 'map') return toMaps.unpack(view);
    return keys ? mapsToObjects(toMaps.unpack(view), maps === 'object') : toObjects.unpack(view);
  };

  return {
    contentType: 'application/msgpack',
    serialize(data: unknown, context: SerializerContext): Uint8Array {
      if (data === undefined) return EMPTY;
      try {
        const packed = toObjects.pack(
          isPackable(data, dates, 0) ? data : new MsgpackWriter(dates).write(data),
        );
        // Copied: msgpackr's result is a slice of its working buffer, which a queued message would keep alive whole.
        return Buffer.from(packed);
      } catch (cause) {
        throw failure(cause, 'the payload cannot be written as MessagePack', context);
      }
    },
    deserialize(body: Uint8Array, context: SerializerContext): unknown {
      if (body.length === 0) return undefined;
      try {
        return unpack(body);
      } catch (cause) {
        throw failure(cause, `the body of ${body.length} bytes is not MessagePack`, context);
      }
    },
  };
}

/** Synchronously, so that a missing package is reported where `msgpack()` is called. */
function load(): Msgpackr {
  try {
    return createRequire(import.meta.url)('msgpackr') as Msgpackr;
  } catch (cause) {
    throw new ConfigError(
      `the MessagePack serializer needs the package msgpackr (npm install msgpackr): ${(cause as Error).message.split('\n')[0]}`,
      { cause },
    );
  }
}

function failure(cause: unknown, what: string, { topic }: SerializerContext): SerializationError {
  if (SerializationError.is(cause))
    return new SerializationError(cause.message, { topic, cause: cause.cause });
  return new SerializationError(`${what}: ${(cause as Error).message}`, { topic, cause });
}
