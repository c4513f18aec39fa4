import { types } from 'node:util';
import { SerializationError } from '../errors.ts';
import type { MsgpackOptions } from './msgpack.ts';
import { payloadPath } from './payload-path.ts';

/** Deeper payloads, and circular ones, take the careful way, which tells the two apart. */
const SHALLOW = 100;

const fits = (value: bigint): boolean => value >= -(2n ** 63n) && value < 2n ** 64n;

/** Whether msgpackr writes `value` as it should be. */
export function isPackable(value: unknown, dates: MsgpackOptions['dates'], depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed();
    case 'number':
    case 'boolean':
    case 'undefined':
      return true;
    case 'bigint':
      return fits(value);
    case 'object': {
      if (value === null) return true;
      if (depth > SHALLOW) return false;
      const prototype = Object.getPrototypeOf(value);
      if (prototype === Object.prototype) {
        for (const key in value) {
          if (key === 'constructor' || !key.isWellFormed()) return false;
          if (!isPackable((value as Record<string, unknown>)[key], dates, depth + 1)) return false;
        }
        return true;
      }
      if (prototype === Array.prototype) {
        for (const child of value as unknown[]) if (!isPackable(child, dates, depth + 1)) return false;
        return true;
      }
      if (prototype === Date.prototype) return dates !== 'iso' && !Number.isNaN((value as Date).getTime());
      return prototype === Uint8Array.prototype || prototype === Buffer.prototype;
    }
    default:
      return false;
  }
}

/** The careful way out: copies a payload into one that is packable, and refuses the rest by its place. For one payload. */
export class MsgpackWriter {
  readonly #dates: MsgpackOptions['dates'];
  readonly #path: unknown[] = [];
  /** The objects around the current place. */
  readonly #holders: object[] = [];

  constructor(dates: MsgpackOptions['dates']) {
    this.#dates = dates;
  }

  write(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'bigint':
        if (!fits(value)) throw this.#refusal('is a bigint of more than 64 bits');
        return value;
      case 'object':
        return value === null ? null : this.#object(value);
      case 'function':
      case 'symbol':
        throw this.#refusal(`is a ${typeof value}`);
      default:
        return value;
    }
  }

  #text(value: string): string {
    if (!value.isWellFormed()) throw this.#refusal('has a lone surrogate, which UTF-8 cannot hold');
    return value;
  }

  #object(value: object): unknown {
    if (types.isDate(value)) {
      if (Number.isNaN(value.getTime())) throw this.#refusal('is an invalid Date');
      return this.#dates === 'iso' ? value.toISOString() : new Date(value);
    }
    if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return this.#inside(value, () => {
      if (Array.isArray(value)) return Array.from(value, (child, index) => this.#at(index, child));
      if (types.isMap(value)) {
        return new Map(Array.from(value, ([key, child]) => [this.#at(key, key), this.#at(key, child)]));
      }
      const { toJSON } = value as { toJSON?: unknown };
      if (typeof toJSON === 'function') {
        const replaced: unknown = toJSON.call(value, String(this.#path.at(-1) ?? ''));
        if (replaced !== value) return this.write(replaced);
      } else {
        const kind = Object.prototype.toString.call(value).slice(8, -1);
        if (kind !== 'Object') throw this.#refusal(`is of type ${kind}, which MessagePack cannot hold`);
      }
      return this.#properties(value);
    });
  }

  /** As a `Map`, which msgpackr writes the same: by an object's property "constructor" it would take it for another class. */
  #properties(value: object): ReadonlyMap<string, unknown> {
    const copy = new Map<string, unknown>();
    for (const [key, child] of Object.entries(value)) {
      if (typeof child === 'function' && key === 'toJSON') continue;
      const written = this.#at(this.#text(key), child);
      if (written !== undefined) copy.set(key, written);
    }
    return copy;
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

/**
 * Makes plain objects of the maps in what was decoded: of all, or of those that have string keys only.
 *
 * @throws {SerializationError} for a key without a text of its own, where all are to be objects
 */
export function mapsToObjects(value: unknown, all: boolean): unknown {
  if (Array.isArray(value)) return value.map((child) => mapsToObjects(child, all));
  if (!(value instanceof Map)) return value;
  const entries = Array.from(
    value,
    ([key, child]) => [mapsToObjects(key, all), mapsToObjects(child, all)] as const,
  );
  if (entries.every(([key]) => typeof key === 'string')) return Object.fromEntries(entries);
  return all ? Object.fromEntries(entries.map(([key, child]) => [keyText(key), child])) : new Map(entries);
}

function keyText(key: unknown): string {
  if (typeof key !== 'object' || key === null) return String(key);
  throw new SerializationError(
    'a map in the body has a key that is no text, number or truth value (option "maps")',
  );
}
