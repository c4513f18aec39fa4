import type { RetryPolicy } from './policy.ts';

/**
 * Names and codes of errors that another try cannot help: bad input, missing credentials, missing rights. Compared
 * without case and separators, so `ValidationError`, `VALIDATION` and Ruby-style `validation_error` are one.
 */
const HOPELESS = new Set([
  'validation',
  'authentication',
  'authorization',
  'permission',
  'unauthorized',
  'unauthenticated',
  'forbidden',
  'accessdenied',
  'permissiondenied',
  'eacces',
  'eperm',
  'zod',
  'valibot',
]);

const normalize = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z]/g, '')
    .replace(/(error|exception)$/, '');

function field(error: unknown, name: 'name' | 'code' | 'retryable' | 'status'): unknown {
  return typeof error === 'object' && error !== null ? (error as Record<string, unknown>)[name] : undefined;
}

/** Whether a message that failed with `error` is worth another try under `policy`. */
export function isRetryable(error: unknown, policy: RetryPolicy): boolean {
  if (policy.retryOn !== undefined) return policy.retryOn.some((rule) => ruleMatches(rule, error));
  const marked = field(error, 'retryable');
  if (typeof marked === 'boolean') return marked;
  for (const name of [field(error, 'name'), field(error, 'code')]) {
    if (typeof name === 'string' && HOPELESS.has(normalize(name))) return false;
  }
  return true;
}

function ruleMatches(rule: NonNullable<RetryPolicy['retryOn']>[number], error: unknown): boolean {
  if (typeof rule === 'string') return field(error, 'name') === rule || field(error, 'code') === rule;
  if (isErrorClass(rule)) return error instanceof rule;
  try {
    return Boolean((rule as (error: unknown) => boolean)(error));
  } catch {
    // It did not expect this error, so it has not said that another try is no use.
    return true;
  }
}

function isErrorClass(rule: unknown): rule is abstract new (...args: never[]) => Error {
  const prototype: unknown = typeof rule === 'function' ? rule.prototype : undefined;
  return rule === Error || prototype instanceof Error;
}
