import { isDeepStrictEqual } from 'node:util';
import type { Message } from '@ambus/core';

/**
 * Which messages are meant:
 *
 * - a function: those that it returns true for;
 * - an object: those whose data has at least these fields, at any depth; arrays must be of the same length. The test
 *   runner's own matchers (`expect.any(String)`) may stand for values;
 * - anything else: those whose data equals it.
 */
export type Match<T = unknown> =
  | ((message: Message<T>) => boolean)
  | object
  | string
  | number
  | boolean
  | null;

/** A matcher of Vitest, Jest and others. */
interface AsymmetricMatcher {
  asymmetricMatch(value: unknown): boolean;
}

/** Makes a function of a `Match`; undefined matches everything. */
export function toPredicate(match: Match | undefined): (message: Message) => boolean {
  if (match === undefined) return () => true;
  if (typeof match === 'function') return (message) => Boolean(match(message));
  return (message) => contains(message.data, match);
}

/** Whether `actual` has everything that `wanted` has. */
function contains(actual: unknown, wanted: unknown): boolean {
  if (isMatcher(wanted)) return wanted.asymmetricMatch(actual);
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((item, index) => contains(actual[index], item))
    );
  }
  if (isPlain(wanted)) {
    return (
      typeof actual === 'object' &&
      actual !== null &&
      Object.entries(wanted).every(([name, value]) =>
        contains((actual as Record<string, unknown>)[name], value),
      )
    );
  }
  return isDeepStrictEqual(actual, wanted);
}

function isMatcher(value: unknown): value is AsymmetricMatcher {
  return typeof (value as AsymmetricMatcher | null | undefined)?.asymmetricMatch === 'function';
}

/** An object literal, whose fields count; of a Date, a Map or a Buffer the content counts as a whole. */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
