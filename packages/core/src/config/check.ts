import { type BusError, ValidationError } from '../errors.ts';
import { describe } from '../topic/topic.ts';

/** Says what is allowed when `value` is not, and nothing when it is. `undefined` is never passed in. */
export type Check = (value: unknown) => string | undefined;

/** The options of one call: a check for each. */
export type Spec<T> = { readonly [K in keyof Required<T>]: Check };

/** The error that a failed check becomes: `ValidationError` for calls, `ConfigError` for configuration. */
export type CheckError = new (message: string) => BusError;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Holds `options` against `spec`; a name that the spec does not have is refused, too, because a misspelled option would
 * otherwise silently do nothing.
 *
 * @param where - starts the error's text: `publish option`
 * @param Failure - class of the error. Default `ValidationError`.
 * @throws {ValidationError} naming the option, its value and what is allowed
 */
export function checkOptions<T>(
  where: string,
  options: unknown,
  spec: Spec<T>,
  Failure: CheckError = ValidationError,
): void {
  if (options === undefined) return;
  if (!isObject(options)) throw new Failure(`${where}s must be an object, not ${describe(options)}`);
  for (const name in options) {
    const check = (spec as Record<string, Check | undefined>)[name];
    if (check === undefined || !Object.hasOwn(spec, name)) {
      throw new Failure(`${where} "${name}" does not exist; there are ${Object.keys(spec).join(', ')}`);
    }
    const value = options[name];
    if (value === undefined) continue;
    const allowed = check(value);
    if (allowed !== undefined)
      throw new Failure(`${where} "${name}" must be ${allowed}, not ${describe(value)}`);
  }
}

/**
 * Checks one argument that is not an option.
 *
 * @param name - starts the error's text: `the handler`
 * @throws {ValidationError} with the value and what is allowed
 */
export function checkArgument(name: string, value: unknown, check: Check): void {
  const allowed = check(value);
  if (allowed !== undefined) throw new ValidationError(`${name} must be ${allowed}, not ${describe(value)}`);
}

/** A whole number from `min` to `max`. */
export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER, unit = ''): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `a whole number${unit && ` of ${unit}`} ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}`;

/** A number from `min` to `max`, fractions allowed. */
export const number =
  (min: number, max: number): Check =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max
      ? undefined
      : `a number ${max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`}`;

/** A hundred years: far enough for anyone, and no sum with the current time leaves the range of dates. */
const LONGEST = 100 * 365 * 24 * 60 * 60 * 1_000;

/** A whole number of milliseconds from `min` to a hundred years. */
export const milliseconds = (min: number): Check => integer(min, LONGEST, 'milliseconds');

/** `true` or `false`. */
export const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');

/** A string of 1 to `longest` characters (UTF-16 code units) without lone surrogates. */
export const text =
  (longest = 1024): Check =>
  (value) =>
    typeof value === 'string' && value.length > 0 && value.length <= longest && value.isWellFormed()
      ? undefined
      : `a well-formed string of 1 to ${longest} characters`;

/** A function. */
export const callable: Check = (value) => (typeof value === 'function' ? undefined : 'a function');

/** One of these values. */
export const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value) ? undefined : allowed.map((one) => describe(one)).join(' or ');

/** An array, empty ones too, in which each passes `check`. */
export const arrayOf =
  (check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return 'an array';
    for (const item of value) {
      const allowed = check(item);
      if (allowed !== undefined) return `an array in which each is ${allowed} (one is ${describe(item)})`;
    }
    return undefined;
  };

/** First of several that accepts; otherwise all of what would be allowed. */
export const either =
  (...checks: readonly Check[]): Check =>
  (value) => {
    const allowed: string[] = [];
    for (const check of checks) {
      const no = check(value);
      if (no === undefined) return undefined;
      allowed.push(no);
    }
    return allowed.join(', or ');
  };

/** An object with the methods `names`. */
export const shaped =
  (what: string, ...names: readonly string[]): Check =>
  (value) =>
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
      ? undefined
      : `${what} (with ${names.join(', ')})`;

/** A serializer. */
export const serializer: Check = (value) =>
  typeof (value as { contentType?: unknown } | null)?.contentType === 'string'
    ? shaped('a serializer', 'serialize', 'deserialize')(value)
    : 'a serializer (with contentType, serialize, deserialize)';

/** An object whose fields pass the checks of `spec`, and that has no others. */
export const options =
  <T>(spec: Spec<T>): Check =>
  (value) => {
    try {
      checkOptions('option', value, spec);
      return undefined;
    } catch (error) {
      return `an object of valid options (${(error as Error).message})`;
    }
  };

/** An object that is no array. */
export const object: Check = (value) => (isObject(value) ? undefined : 'an object');

/** An `AbortSignal`. */
export const abortSignal: Check = (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal');

/** What RFC 3339, the form of times on the wire, can write. */
const LAST_DATE = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** A valid `Date` before the year 10000. */
export const date: Check = (value) =>
  value instanceof Date && Math.abs(value.getTime()) <= LAST_DATE
    ? undefined
    : 'a valid Date before the year 10000';

/** Adapts a function that says what is wrong rather than what is allowed, such as `topicProblem`. */
export const without =
  (problem: (value: unknown) => string | undefined): Check =>
  (value) => {
    const wrong = problem(value);
    return wrong === undefined ? undefined : `valid (it ${wrong})`;
  };
