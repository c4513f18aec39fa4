import { ValidationError, type ValidationIssue } from '../errors.ts';
import type { SchemaIssue, SchemaResult, StandardSchema } from './schema.ts';

/**
 * Holds a payload against its topic's schema and returns the schema's output.
 *
 * @throws {ValidationError} with every issue; as a rejection where the schema is asynchronous
 */
export function validatePayload(schema: StandardSchema, data: unknown, topic: string): unknown {
  const result = schema['~standard'].validate(data);
  return result instanceof Promise ? result.then((settled) => unwrap(settled, topic)) : unwrap(result, topic);
}

function unwrap(result: SchemaResult<unknown>, topic: string): unknown {
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(toIssue);
  const texts = issues.map(({ path, message }) =>
    path?.length ? `${path.map(String).join('.')}: ${message}` : message,
  );
  throw new ValidationError(`the payload for "${topic}" does not match its schema: ${texts.join('; ')}`, {
    topic,
    issues,
  });
}

function toIssue(issue: SchemaIssue): ValidationIssue {
  return {
    message: issue.message,
    // Libraries put arrays of their own there, whose `map` makes more of them.
    path: issue.path && Array.from(issue.path, (step) => (typeof step === 'object' ? step.key : step)),
  };
}
