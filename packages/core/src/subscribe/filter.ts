import type { Check } from '../config/check.ts';
import { ConfigError } from '../errors.ts';
import type { Message } from './message.ts';

/** What a value must be: equal (deeply), one of several (`{ in: […] }`), or accepted by a function. */
export type Condition = unknown | ((value: unknown) => boolean);

/** Conditions on headers and on fields of the data; all must hold. */
export interface FilterRules {
  /** By header name. */
  readonly headers?: Readonly<Record<string, Condition>> | undefined;
  /** By field; `a.b` reaches into objects. */
  readonly data?: Readonly<Record<string, Condition>> | undefined;
}

/** Lets a message through, or not. */
export type Filter<T = unknown> = FilterRules | ((message: Message<T>) => boolean);

/** A check for the `filter` option. */
export const filterOption: Check = (value) => {
  if (typeof value === 'function') return undefined;
  const allowed = 'a function, or conditions under "headers" and "data"';
  if (typeof value !== 'object' || value === null) return allowed;
  const names = Object.keys(value);
  const known = names.every((name) => name === 'headers' || name === 'data');
  const objects = Object.values(value).every(
    (part) => part === undefined || (typeof part === 'object' && part !== null),
  );
  return names.length > 0 && known && objects ? undefined : allowed;
};

/** Makes a predicate of a filter. Undefined stays undefined: there is nothing to ask. */
export function compileFilter(filter: Filter | undefined): ((message: Message) => boolean) | undefined {
  if (filter === undefined) return undefined;
  if (typeof filter === 'function') {
    return (message) => {
      const answer: unknown = filter(message);
      // A promise would let every message through.
      if (typeof (answer as PromiseLike<unknown> | null | undefined)?.then === 'function') {
        throw new ConfigError('subscribe option "filter" must answer at once; it returned a promise');
      }
      return Boolean(answer);
    };
  }
  const headers = Object.entries(filter.headers ?? {}).map(([name, want]) => [name, compile(want)] as const);
  const data = Object.entries(filter.data ?? {}).map(
    ([path, want]) => [path.split('.'), compile(want)] as const,
  );
  return (message) =>
    headers.every(([name, holds]) =>
      holds(Object.hasOwn(message.headers, name) ? message.headers[name] : undefined),
    ) && data.every(([path, holds]) => holds(reach(message.data, path)));
}

function compile(want: Condition): (value: unknown) => boolean {
  if (typeof want === 'function') return (value) => Boolean((want as (value: unknown) => boolean)(value));
  const choices =
    isObject(want) && Array.isArray(want.in) && Object.keys(want).length === 1 ? want.in : undefined;
  return choices === undefined
    ? (value) => equal(value, want)
    : (value) => choices.some((one) => equal(value, one));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

function reach(data: unknown, path: readonly string[]): unknown {
  let value = data;
  for (const name of path) {
    if (value instanceof Map) value = value.get(name);
    else if (isObject(value) && Object.hasOwn(value, name)) value = value[name];
    else return undefined;
  }
  return value;
}

/** Deep equality of what payloads are made of. */
function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  if (a instanceof Map || b instanceof Map) {
    if (!(a instanceof Map && b instanceof Map) || a.size !== b.size) return false;
    return [...a].every(([name, value]) => b.has(name) && equal(value, b.get(name)));
  }
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]))
  );
}
