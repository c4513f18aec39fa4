import {
  arrayOf,
  type Check,
  checkOptions,
  either,
  integer,
  milliseconds,
  number,
  oneOf,
  type Spec,
} from '../config/check.ts';

/** Which errors are worth another try: an error class, an error's `code` or `name`, or a function that decides. */
export type RetryOn = string | (abstract new (...args: never[]) => Error) | ((error: unknown) => boolean);

/** When and how often a failed message is tried again. */
export interface RetryOptions {
  /** Tries after the first. 0 sends a failed message to the dead letters at once. Default 3, or as many as `delays` has. */
  readonly maxRetries?: number | undefined;
  /** Milliseconds before the first retry. Default 1,000. */
  readonly initialDelay?: number | undefined;
  /**
   * Longest of the computed delays, jitter included, in milliseconds. `delays` and `nack({ delay })` may be longer. Default
   * 60,000.
   */
  readonly maxDelay?: number | undefined;
  /** `exponential`: each delay is the last times `factor`; `linear`: each is `initialDelay` longer. Default `exponential`. */
  readonly backoff?: 'exponential' | 'linear' | undefined;
  /** Growth of an exponential delay, 1 to 100. Default 2. */
  readonly factor?: number | undefined;
  /** Random share by which a delay may be shorter or longer, 0 to 1, so that retries do not come in waves. Default 0.1. */
  readonly jitter?: number | undefined;
  /**
   * Exact delays instead of computed ones, in milliseconds; the last one repeats. Without jitter unless `jitter` is given.
   * The bus's stay in force unless the subscription gives its own.
   */
  readonly delays?: readonly number[] | undefined;
  /**
   * Only these errors are retried, all others go to the dead letters at once. Default: all, except those that another
   * try cannot help (`retryable: false`, and validation, authentication and permission errors).
   */
  readonly retryOn?: RetryOn | readonly RetryOn[] | undefined;
  /**
   * What a failed message does to later ones of its key: `skip` lets them pass while it waits; `block` holds them back
   * until it is handled or dead-lettered. Default `skip`.
   */
  readonly order?: 'skip' | 'block' | undefined;
}

/** `RetryOptions` with defaults filled in. */
export interface RetryPolicy {
  readonly maxRetries: number;
  readonly initialDelay: number;
  readonly maxDelay: number;
  readonly backoff: 'exponential' | 'linear';
  readonly factor: number;
  readonly jitter: number;
  readonly delays: readonly number[] | undefined;
  readonly retryOn: readonly RetryOn[] | undefined;
  readonly order: 'skip' | 'block';
}

const rule: Check = either((value) =>
  (typeof value === 'string' && value !== '') || typeof value === 'function'
    ? undefined
    : 'an error class, an error code or name, or a function',
);

const SPEC: Spec<RetryOptions> = {
  maxRetries: integer(0, 1_000_000),
  initialDelay: milliseconds(0),
  maxDelay: milliseconds(0),
  backoff: oneOf('exponential', 'linear'),
  factor: number(1, 100),
  jitter: number(0, 1),
  delays: (value) =>
    Array.isArray(value) && value.length === 0
      ? 'a list of at least one delay'
      : arrayOf(milliseconds(0))(value),
  retryOn: either(rule, arrayOf(rule)),
  order: oneOf('skip', 'block'),
};

/** A check for a `retry` option: `RetryOptions`, or false for no retries. */
export const retryOption: Check = (value) => {
  if (value === false) return undefined;
  try {
    checkOptions('retry option', value, SPEC);
  } catch (error) {
    return `retry options or false (${(error as Error).message})`;
  }
  return undefined;
};

const DEFAULTS: RetryPolicy = {
  maxRetries: 3,
  initialDelay: 1_000,
  maxDelay: 60_000,
  backoff: 'exponential',
  factor: 2,
  jitter: 0.1,
  delays: undefined,
  retryOn: undefined,
  order: 'skip',
};

/** Fills in what `options` leaves open from `base`. `false` means no retries. */
export function retryPolicy(
  options: RetryOptions | false | undefined,
  base: RetryPolicy = DEFAULTS,
): RetryPolicy {
  if (options === undefined) return base;
  if (options === false) return { ...base, maxRetries: 0 };
  const { retryOn, ...rest } = options;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const policy: RetryPolicy = { ...base, ...given };
  const list = options.delays;
  return {
    ...policy,
    ...(list !== undefined && options.maxRetries === undefined ? { maxRetries: list.length } : undefined),
    ...(list !== undefined && options.jitter === undefined ? { jitter: 0 } : undefined),
    retryOn: retryOn === undefined ? policy.retryOn : Array.isArray(retryOn) ? retryOn : [retryOn as RetryOn],
  };
}

/**
 * Milliseconds to wait after a failed attempt.
 *
 * @param attempt - the attempt that failed, from 1
 * @param random - 0 to 1
 */
export function retryDelay(policy: RetryPolicy, attempt: number, random: number = Math.random()): number {
  const { delays, initialDelay, maxDelay, factor, jitter } = policy;
  const planned =
    delays !== undefined
      ? delays[Math.min(attempt, delays.length) - 1]!
      : policy.backoff === 'linear'
        ? initialDelay * attempt
        : // Of late attempts the factor is infinite.
          initialDelay && initialDelay * factor ** (attempt - 1);
  const limit = delays === undefined ? maxDelay : Number.POSITIVE_INFINITY;
  const capped = Math.min(planned, limit);
  return Math.round(Math.min(capped * (1 + jitter * (2 * random - 1)), limit));
}

/** A publisher's policy in the form in which it travels with the message; classes and functions cannot. */
export function encodeRetry(options: RetryOptions | false): string {
  const rules = options === false || options.retryOn === undefined ? [] : [options.retryOn].flat();
  if (rules.some((one) => typeof one !== 'string')) {
    throw new TypeError('its "retryOn" travels with the message, so it can only hold error codes and names');
  }
  return JSON.stringify(options);
}

/** Reads what `encodeRetry` wrote; undefined for anything else, since a foreign publisher's mistake must not stop a consumer. */
export function decodeRetry(encoded: string): RetryOptions | false | undefined {
  try {
    const options: unknown = JSON.parse(encoded);
    return retryOption(options) === undefined ? (options as RetryOptions | false) : undefined;
  } catch {
    return undefined;
  }
}
