import { types } from 'node:util';
import { SerializationError } from '../errors.ts';
import type { JsonOptions } from './json.ts';
import { isLongInteger, rawJson } from './json-numbers.ts';
import { payloadPath } from './payload-path.ts';

/** An object with one such key is a tag; with more than one `$` it is the application's own, escaped. */
const TAG = /^\$+(?:date|bigint|decimal|binary|map|set)$/;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Recognises the objects of decimal.js, big.js, bignumber.js and the like. */
const isDecimal = (value: object): value is { toJSON(): unknown } =>
  typeof (value as { toFixed?: unknown }).toFixed === 'function' &&
  typeof (value as { toJSON?: unknown }).toJSON === 'function';

/**
 * The careful way out: copies a payload into one that `JSON.stringify` writes as the options say, and refuses the rest
 * by its place. For one payload.
 */
export class JsonWriter {
  readonly #options: JsonOptions;
  readonly #tags: boolean;
  readonly #path: unknown[] = [];
  /** The objects around the current place. */
  readonly #holders: object[] = [];

  /** @param tags - whether the reader understands tags, so that what looks like one must be escaped */
  constructor(options: JsonOptions, tags: boolean) {
    this.#options = options;
    this.#tags = tags;
  }

  write(value: unknown): unknown {
    switch (typeof value) {
      case 'number':
        return this.#number(value);
      case 'bigint':
        return this.#bigint(value);
      case 'object':
        return value === null ? null : this.#object(value);
      case 'function':
      case 'symbol':
        throw this.#refusal(`is a ${typeof value}`);
      default:
        return value;
    }
  }

  #number(value: number): unknown {
    if (!Number.isFinite(value)) {
      if (this.#options.nonFinite === 'null') return null;
      throw this.#refusal(`is ${value} (option "nonFinite")`);
    }
    const { decimals = 'number' } = this.#options;
    // With an exponent the reader knows it from an integer that has all these digits.
    return decimals !== 'number' && isLongInteger(value) ? rawJson!(value.toExponential()) : value;
  }

  #bigint(value: bigint): unknown {
    const { bigints = 'error' } = this.#options;
    if (bigints === 'error') throw this.#refusal('is a bigint (option "bigints")');
    if (bigints === 'number') return rawJson!(String(value));
    return bigints === 'exact' ? { $bigint: String(value) } : String(value);
  }

  #object(value: object): unknown {
    const { dates, decimals, binary = 'error', collections } = this.#options;
    if (types.isDate(value)) {
      if (Number.isNaN(value.getTime())) throw this.#refusal('is an invalid Date');
      return dates === 'exact' ? { $date: value.toISOString() } : value.toISOString();
    }
    if (types.isUint8Array(value)) {
      if (binary === 'error') throw this.#refusal('is binary (option "binary")');
      const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
      return binary === 'exact' ? { $binary: text } : text;
    }
    if (isDecimal(value)) return decimals === 'exact' ? { $decimal: String(value.toJSON()) } : value.toJSON();
    const isMap = types.isMap(value);
    if (isMap || types.isSet(value)) {
      if (collections !== 'exact')
        throw this.#refusal(`is a ${isMap ? 'Map' : 'Set'} (option "collections")`);
      return this.#inside(value, () =>
        isMap ? { $map: this.#entries(value) } : { $set: this.#list([...value]) },
      );
    }
    if (Array.isArray(value)) return this.#inside(value, () => this.#list(value));
    return this.#inside(value, () => this.#plain(value));
  }

  #plain(value: object): unknown {
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') {
      const replaced: unknown = toJSON.call(value, String(this.#path.at(-1) ?? ''));
      return replaced === value ? this.#properties(value) : this.write(replaced);
    }
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    if (kind !== 'Object') throw this.#refusal(`is of type ${kind}, which JSON cannot hold`);
    return this.#properties(value);
  }

  #properties(value: object): unknown {
    const copy: [string, unknown][] = [];
    for (const [key, child] of Object.entries(value)) {
      if (typeof child === 'function' && key === 'toJSON') continue;
      const written = this.#at(key, child);
      if (written !== undefined) copy.push([key, written]);
    }
    const only = copy[0];
    if (this.#tags && only !== undefined && copy.length === 1 && TAG.test(only[0])) only[0] = `$${only[0]}`;
    // Unlike an assignment this makes a property of "__proto__", too.
    return Object.fromEntries(copy);
  }

  #list(values: readonly unknown[]): unknown[] {
    return Array.from(values, (child, index) => this.#at(index, child));
  }

  #entries(map: ReadonlyMap<unknown, unknown>): unknown[] {
    return Array.from(map, ([key, child]) => [this.#at(key, key), this.#at(key, child)]);
  }

  #at(key: unknown, child: unknown): unknown {
    this.#path.push(key);
    const written = this.write(child);
    this.#path.pop();
    return written;
  }

  #inside(holder: object, write: () => unknown): unknown {
    if (this.#holders.includes(holder)) throw this.#refusal('refers back to an object that holds it');
    this.#holders.push(holder);
    const written = write();
    this.#holders.pop();
    return written;
  }

  #refusal(what: string): SerializationError {
    return new SerializationError(`${payloadPath(this.#path)} ${what}`);
  }
}

/** Turns the tags in what `JSON.parse` made back into what they stand for, in place. Others' lookalikes stay. */
export function restore(value: unknown, decimal: JsonOptions['decimal']): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const holder = value as Record<string, unknown>;
  const keys = Object.keys(holder);
  for (const key of keys) {
    const child = holder[key];
    const restored = restore(child, decimal);
    if (restored !== child) holder[key] = restored;
  }
  const [tag] = keys;
  if (keys.length !== 1 || tag === undefined || !TAG.test(tag)) return value;
  return tag[1] === '$' ? { [tag.slice(1)]: holder[tag] } : (untag(tag, holder[tag], decimal) ?? value);
}

/** What a tag stands for; undefined where its content is none that a `JsonWriter` writes. */
function untag(tag: string, content: unknown, decimal: JsonOptions['decimal']): unknown {
  if (Array.isArray(content)) {
    if (tag === '$set') return new Set(content);
    return tag === '$map' && content.every((entry) => Array.isArray(entry) && entry.length === 2)
      ? new Map(content)
      : undefined;
  }
  if (typeof content !== 'string') return undefined;
  if (tag === '$date') return toDate(content);
  if (tag === '$bigint') return /^-?\d+$/.test(content) ? BigInt(content) : undefined;
  if (tag === '$binary')
    return BASE64.test(content) ? new Uint8Array(Buffer.from(content, 'base64')) : undefined;
  return tag === '$decimal' ? (decimal?.(content) ?? content) : undefined;
}

function toDate(text: string): Date | undefined {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text ? date : undefined;
}
