import { type ErrorContext, RemoteError } from '../errors.ts';

const MESSAGE_LENGTH = 4_000;

interface WireError {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  retryable?: unknown;
}

/** The form in which a responder's error travels: no stack, it is nobody's business on the other side. */
export function writeError(error: unknown): string {
  const given = (
    typeof error === 'object' && error !== null ? error : { message: String(error) }
  ) as WireError;
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' && value !== '' ? value : undefined;
  return JSON.stringify({
    name: text(given.name) ?? 'Error',
    message: (text(given.message) ?? 'the responder failed without a message').slice(0, MESSAGE_LENGTH),
    code: text(given.code),
    retryable: typeof given.retryable === 'boolean' ? given.retryable : undefined,
  });
}

/** Reads what `writeError`, or a responder in another language, wrote. */
export function readError(encoded: string, context: ErrorContext): RemoteError {
  let wire: WireError;
  try {
    wire = JSON.parse(encoded) as WireError;
  } catch {
    wire = { message: encoded };
  }
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return new RemoteError(
    text(wire?.message) ?? 'the responder failed',
    { name: text(wire?.name) ?? 'Error', code: text(wire?.code) },
    { ...context, retryable: typeof wire?.retryable === 'boolean' ? wire.retryable : undefined },
  );
}
