import { isUtf8 } from 'node:buffer';
import { boolean, callable, checkOptions, oneOf, type Spec } from '../config/check.ts';
import { ConfigError, SerializationError } from '../errors.ts';
import { isExactText, isLongInteger, rawJson } from './json-numbers.ts';
import { JsonWriter, restore } from './json-values.ts';
import type { Serializer, SerializerContext } from './serializer.ts';

/**
 * How `json()` treats what JSON has no form for. Where an option says `exact`, the value is written as a tagged object
 * (`{"$date":"…"}`, `$bigint`, `$decimal`, `$binary`, `$map`, `$set`) and arrives as what it was. The application's own
 * objects that look like such a tag are written with one more `$` and arrive unchanged. Any one `exact` option makes a
 * reader understand all tags; a reader without any gets the tagged objects as they are.
 */
export interface JsonOptions {
  /** `iso` (default): a `Date` is written, and arrives, as a string like `2026-01-31T12:00:00.000Z`. `exact`: arrives as `Date`. */
  readonly dates?: 'iso' | 'exact' | undefined;
  /**
   * `error` (default): refused. `string`: written as a string and arrives as one. `number`: written as a number with all
   * its digits, for readers in other languages; arrives as `decimals` says. `exact`: arrives as `bigint`.
   */
  readonly bigints?: 'error' | 'string' | 'number' | 'exact' | undefined;
  /**
   * What becomes of numbers that a double cannot hold, and of decimal objects (decimal.js, big.js, bignumber.js: what
   * has both `toFixed` and `toJSON`).
   *
   * - `number` (default): what arrives becomes the nearest double, as `JSON.parse` does. Objects are written as strings.
   * - `string`: what arrives and no double holds becomes a string of its digits. Objects are written as strings.
   * - `exact`: integers beyond 2^53 - 1 arrive as `bigint`, other numbers that no double holds through `decimal`, where
   *   that is given, or else as strings. Objects are tagged and arrive through `decimal`, or else as strings.
   */
  readonly decimals?: 'number' | 'string' | 'exact' | undefined;
  /** With `decimals: 'exact'`: makes the application's decimal object, `(text) => new Decimal(text)`. Default: none. */
  readonly decimal?: ((text: string) => unknown) | undefined;
  /** `error` (default): a `Uint8Array` is refused. `base64`: written as a string, arrives as one. `exact`: arrives as `Uint8Array`. */
  readonly binary?: 'error' | 'base64' | 'exact' | undefined;
  /** `error` (default): a `Map` or `Set` is refused. `exact`: arrives as one. */
  readonly collections?: 'error' | 'exact' | undefined;
  /** `error` (default): NaN and the infinities are refused. `null`: written as null, as `JSON.stringify` does. */
  readonly nonFinite?: 'error' | 'null' | undefined;
  /**
   * Default true. `false` hands payloads to `JSON.stringify` unseen, which is a little faster and silently loses what it
   * does not know: a `Map` arrives as `{}`, NaN as null. Cannot be combined with options that change what is written.
   */
  readonly strict?: boolean | undefined;
}

const SPEC: Spec<JsonOptions> = {
  dates: oneOf('iso', 'exact'),
  bigints: oneOf('error', 'string', 'number', 'exact'),
  decimals: oneOf('number', 'string', 'exact'),
  decimal: callable,
  binary: oneOf('error', 'base64', 'exact'),
  collections: oneOf('error', 'exact'),
  nonFinite: oneOf('error', 'null'),
  strict: boolean,
};

/** A body without any of these has no number that a double cannot hold: 15 digits always fit. */
const LONG_NUMBER = /[\d.]{16}|\d[eE][-+]?\d/;

/** Deeper payloads, and circular ones, take the careful way, which tells the two apart. */
const SHALLOW = 100;

const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * JSON, the bus's default (`AMB_SERIALIZER=json`).
 *
 * With no options, beyond what JSON itself knows: a `Date` arrives as its ISO string, an object of a class as a plain
 * object of its properties or of what its `toJSON` returns; properties that are `undefined` or have a symbol for a name
 * are left out, `undefined` in an array arrives as null, and -0 as 0. Refused, with the place in the error's text: NaN,
 * infinities, invalid dates, `bigint`, functions, symbols, `Map`, `Set`, binary, and other built-in objects that would
 * arrive as `{}`, such as errors and regular expressions. `undefined` as the whole payload is an empty body, and back.
 *
 * Its `serialize` and `deserialize` throw a `SerializationError` for what is refused, circular payloads, and bodies that
 * are not JSON in UTF-8.
 *
 * @throws {ConfigError} when an option is not allowed, or this Node cannot do it
 */
export function json(options: JsonOptions = {}): Serializer {
  checkOptions('json option', options, SPEC, ConfigError);
  const { dates, bigints, decimals, decimal, binary, collections, strict = true } = options;
  const exact = [dates, bigints, decimals, binary, collections].includes('exact');
  const precise = decimals === 'string' || decimals === 'exact';
  if ((precise || bigints === 'number') && rawJson === undefined) {
    throw new ConfigError('json options "decimals" and "bigints": "number" need Node 21 or later');
  }
  if (decimal !== undefined && decimals !== 'exact') {
    throw new ConfigError('json option "decimal" does nothing without "decimals": "exact"');
  }
  if (!strict && (exact || binary === 'base64' || bigints === 'string' || bigints === 'number')) {
    throw new ConfigError(
      'json option "strict": false cannot be combined with options that change what is written',
    );
  }

  /** Whether `JSON.stringify` writes `value` as it should be. A look beforehand costs a fraction of what a replacer does. */
  const isPlain = (value: unknown, depth: number): boolean => {
    switch (typeof value) {
      case 'string':
      case 'boolean':
      case 'undefined':
        return true;
      case 'number':
        return Number.isFinite(value) && !(precise && isLongInteger(value));
      case 'object': {
        if (value === null) return true;
        if (depth > SHALLOW) return false;
        if (Array.isArray(value)) {
          for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
          return true;
        }
        const prototype = Object.getPrototypeOf(value);
        if (prototype === Date.prototype)
          return dates !== 'exact' && !Number.isNaN((value as Date).getTime());
        if (prototype !== Object.prototype && prototype !== null) return false;
        for (const key in value) {
          if (exact && key.charCodeAt(0) === 36 /* $ */) return false;
          const child = (value as Record<string, unknown>)[key];
          if (typeof child !== 'string' && !isPlain(child, depth + 1)) return false;
        }
        return true;
      }
      default:
        return false;
    }
  };

  /** Numbers by their text. */
  const reviver = (_key: string, value: unknown, context: { source: string }): unknown => {
    if (typeof value !== 'number' || isExactText(context.source, value)) return value;
    if (decimals === 'string') return context.source;
    return /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : (decimal?.(context.source) ?? context.source);
  };

  return {
    contentType: 'application/json',
    serialize(data: unknown, context: SerializerContext): Uint8Array {
      try {
        const text = JSON.stringify(
          !strict || isPlain(data, 0) ? data : new JsonWriter(options, exact).write(data),
        );
        return text === undefined ? EMPTY : Buffer.from(text);
      } catch (cause) {
        throw failure(cause, 'the payload cannot be written as JSON', context);
      }
    },
    deserialize(body: Uint8Array, context: SerializerContext): unknown {
      if (body.length === 0) return undefined;
      try {
        // Decoding would silently replace what is not UTF-8.
        if (!isUtf8(body)) throw new SerializationError('the body is not UTF-8', { topic: context.topic });
        const all = (
          Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.length)
        ).toString();
        const text = all.charCodeAt(0) === 0xfeff ? all.slice(1) : all;
        const value: unknown =
          precise && LONG_NUMBER.test(text) ? JSON.parse(text, reviver as () => unknown) : JSON.parse(text);
        return exact && text.includes('"$') ? restore(value, decimal) : value;
      } catch (cause) {
        throw failure(cause, `the body of ${body.length} bytes is not JSON`, context);
      }
    },
  };
}

/** Parse errors quote the body, so their text stays in `cause`. */
function failure(cause: unknown, what: string, { topic }: SerializerContext): SerializationError {
  if (SerializationError.is(cause))
    return new SerializationError(cause.message, { topic, cause: cause.cause });
  return new SerializationError(cause instanceof SyntaxError ? what : `${what}: ${String(cause)}`, {
    topic,
    cause,
  });
}
