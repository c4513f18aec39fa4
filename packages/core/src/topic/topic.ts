import { ValidationError } from '../errors.ts';

/** Most segments of a topic. */
export const MAX_SEGMENTS = 16;

/** Longest topic in characters: what the shortest name limit among the brokers (Kafka's 249, less prefix and suffixes) leaves. */
export const MAX_TOPIC_LENGTH = 200;

const TOPIC = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
const PATTERN = /^(?:[A-Za-z0-9_-]+|\*|#)(?:\.(?:[A-Za-z0-9_-]+|\*|#))*$/;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

function problem(value: unknown, allowed: RegExp, segment: string): string | undefined {
  if (typeof value !== 'string') return `must be a string, not ${describe(value)}`;
  if (value === '') return 'must not be empty';
  if (value.length > MAX_TOPIC_LENGTH)
    return `has ${value.length} characters, at most ${MAX_TOPIC_LENGTH} are allowed`;
  if (!allowed.test(value)) {
    return `must be ${segment} joined by single dots`;
  }
  const segments = value.split('.').length;
  return segments > MAX_SEGMENTS
    ? `has ${segments} segments, at most ${MAX_SEGMENTS} are allowed`
    : undefined;
}

/** Names a value in an error without printing what might be large or secret. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') {
    const shown = withoutSecrets(value);
    return JSON.stringify(shown.length > 120 ? `${shown.slice(0, 120)}…` : shown);
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined) return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Hides what a url, be it malformed, says of an account: everything up to its last "@", and what follows a user's colon. */
function withoutSecrets(text: string): string {
  return text
    .replace(/:\/\/.*@/s, '://***@')
    .replace(/(:\/\/[^/?,:@[\]]*:)(?!\d{1,5}(?:[/?,]|$)).*/s, '$1***')
    .replace(/([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*/gi, '$1***');
}

/** What is wrong with a topic, or undefined. */
export function topicProblem(value: unknown): string | undefined {
  return problem(value, TOPIC, 'segments of letters, digits, "_" and "-"');
}

/** What is wrong with a pattern, or undefined. */
export function patternProblem(value: unknown): string | undefined {
  return problem(
    value,
    PATTERN,
    'segments of letters, digits, "_" and "-", or "*" or "#" as a whole segment,',
  );
}

/** What is wrong with a group's name, or undefined. */
export function groupProblem(value: unknown): string | undefined {
  return typeof value === 'string' && NAME.test(value)
    ? undefined
    : `must be 1 to 64 letters, digits, "_" or "-", not ${describe(value)}`;
}

/** @throws {ValidationError} naming the topic and what is wrong with it */
export function assertTopic(value: unknown): asserts value is string {
  const wrong = topicProblem(value);
  if (wrong !== undefined) throw new ValidationError(`topic ${describe(value)} ${wrong}`);
}

/** @throws {ValidationError} naming the pattern and what is wrong with it */
export function assertPattern(value: unknown): asserts value is string {
  const wrong = patternProblem(value);
  if (wrong !== undefined) throw new ValidationError(`pattern ${describe(value)} ${wrong}`);
}
