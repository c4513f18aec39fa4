/**
 * Two copies of core may end up in one install (an app's and a plugin's, an ESM and a CommonJS build), so errors are
 * recognised by this registered symbol and not by their class's identity.
 */
const MARKER = Symbol.for('ambus.error');

/** Where an error happened. Never holds a secret: addresses are given without their credentials. */
export interface ErrorContext {
  readonly topic?: string | undefined;
  readonly broker?: string | undefined;
  readonly cause?: unknown;
  /** Overrides the class's default. */
  readonly retryable?: boolean | undefined;
}

/**
 * Base of every error of the bus that leaves one of its public calls. What a middleware, a schema or a replay's `edit`
 * throws leaves `publish`, `request` and `replay` as it is, and is the `cause` of a `ValidationError` among the failures of
 * `publishMany`.
 *
 * `BusError.is(error)` recognises all of them; each subclass's `is` only its own. Both work across copies of the package.
 */
export class BusError extends Error {
  /** Stable, for programs: the text may change between versions, this does not. */
  readonly code: string;
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean;
  readonly topic: string | undefined;
  readonly broker: string | undefined;

  constructor(message: string, code: string, retryable: boolean, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = context.retryable ?? retryable;
    this.topic = context.topic;
    this.broker = context.broker;
    Object.defineProperty(this, MARKER, { value: code });
  }

  static is(error: unknown): error is BusError {
    return codeOf(error) !== undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? (error as { [MARKER]?: string })[MARKER] : undefined;
}

/** The server cannot be reached, refused the credentials, or the connection broke. `retryable` tells which. */
export class ConnectionError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'CONNECTION', true, context);
  }
  static override is(error: unknown): error is ConnectionError {
    return codeOf(error) === 'CONNECTION';
  }
}

/** One message of a publish that the broker did not accept. */
export interface PublishFailure {
  /** Place in the list that was given to the failing call. */
  readonly index: number;
  readonly error: BusError;
}

/** Some messages of a publish were not accepted: `failures` names each; the others were. */
export class PublishError extends BusError {
  readonly failures: readonly PublishFailure[];
  constructor(message: string, failures: readonly PublishFailure[], context?: ErrorContext) {
    super(
      message,
      'PUBLISH',
      failures.every((failure) => failure.error.retryable),
      context,
    );
    this.failures = failures;
  }
  static override is(error: unknown): error is PublishError {
    return codeOf(error) === 'PUBLISH';
  }
}

/** A deadline passed. What was asked for may still happen: the outcome is unknown. */
export class TimeoutError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'TIMEOUT', true, context);
  }
  static override is(error: unknown): error is TimeoutError {
    return codeOf(error) === 'TIMEOUT';
  }
}

/** Nobody answers requests on this topic. */
export class NoRespondersError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'NO_RESPONDERS', true, context);
  }
  static override is(error: unknown): error is NoRespondersError {
    return codeOf(error) === 'NO_RESPONDERS';
  }
}

/** What a responder's handler threw, as it reached the requester. `retryable` is what that error said of itself, else true. */
export class RemoteError extends BusError {
  /** `name` of the error that the responder threw. */
  readonly remoteName: string;
  /** `code` of the error that the responder threw, where it had one. */
  readonly remoteCode: string | undefined;
  constructor(message: string, remote: { name: string; code?: string | undefined }, context?: ErrorContext) {
    super(message, 'REMOTE', true, context);
    this.remoteName = remote.name;
    this.remoteCode = remote.code;
  }
  static override is(error: unknown): error is RemoteError {
    return codeOf(error) === 'REMOTE';
  }
}

/** Fewer answers than `min` came to a scattered request before its deadline; `replies` holds those that came. */
export class ScatterError<T = unknown> extends BusError {
  readonly replies: readonly T[];
  constructor(message: string, replies: readonly T[], context?: ErrorContext) {
    super(message, 'SCATTER', true, context);
    this.replies = replies;
  }
  static override is(error: unknown): error is ScatterError {
    return codeOf(error) === 'SCATTER';
  }
}

/** A payload could not be turned into bytes, or bytes into a payload. */
export class SerializationError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'SERIALIZATION', false, context);
  }
  static override is(error: unknown): error is SerializationError {
    return codeOf(error) === 'SERIALIZATION';
  }
}

/** One thing that is wrong with a payload or an argument. */
export interface ValidationIssue {
  readonly message: string;
  /** Where in the payload: keys and indexes from the outside in. */
  readonly path?: readonly PropertyKey[] | undefined;
}

/** An argument of a call, or a payload held against its schema, is not allowed. */
export class ValidationError extends BusError {
  readonly issues: readonly ValidationIssue[];
  constructor(message: string, context?: ErrorContext & { issues?: readonly ValidationIssue[] }) {
    super(message, 'VALIDATION', false, context);
    this.issues = context?.issues ?? [{ message }];
  }
  static override is(error: unknown): error is ValidationError {
    return codeOf(error) === 'VALIDATION';
  }
}

/** A message is larger than the broker takes. */
export class MessageTooLargeError extends BusError {
  /** Bytes that it has: of its body, or of its headers. */
  readonly size: number;
  /** Bytes that the broker takes at most. */
  readonly limit: number;
  constructor(message: string, size: number, limit: number, context?: ErrorContext) {
    super(message, 'MESSAGE_TOO_LARGE', false, context);
    this.size = size;
    this.limit = limit;
  }
  static override is(error: unknown): error is MessageTooLargeError {
    return codeOf(error) === 'MESSAGE_TOO_LARGE';
  }
}

/** A bounded queue has no room, and the caller asked not to wait. */
export class QueueFullError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'QUEUE_FULL', true, context);
  }
  static override is(error: unknown): error is QueueFullError {
    return codeOf(error) === 'QUEUE_FULL';
  }
}

/** The circuit breaker of this topic is open. */
export class CircuitOpenError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'CIRCUIT_OPEN', true, context);
  }
  static override is(error: unknown): error is CircuitOpenError {
    return codeOf(error) === 'CIRCUIT_OPEN';
  }
}

/** The message no longer belongs to this consumer: its lease ran out or its handler took too long. */
export class LeaseLostError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'LEASE_LOST', false, context);
  }
  static override is(error: unknown): error is LeaseLostError {
    return codeOf(error) === 'LEASE_LOST';
  }
}

/** The broker's `capabilities` say that it does not offer this. */
export class UnsupportedError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'UNSUPPORTED', false, context);
  }
  static override is(error: unknown): error is UnsupportedError {
    return codeOf(error) === 'UNSUPPORTED';
  }
}

/** The configuration is wrong, or something that it needs is missing. */
export class ConfigError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'CONFIG', false, context);
  }
  static override is(error: unknown): error is ConfigError {
    return codeOf(error) === 'CONFIG';
  }
}

/** The bus, or the subscription, was closed. */
export class ClosedError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'CLOSED', false, context);
  }
  static override is(error: unknown): error is ClosedError {
    return codeOf(error) === 'CLOSED';
  }
}

/** The caller's `AbortSignal` fired; `cause` is the signal's reason. */
export class AbortError extends BusError {
  constructor(message: string, context?: ErrorContext) {
    super(message, 'ABORTED', false, context);
  }
  static override is(error: unknown): error is AbortError {
    return codeOf(error) === 'ABORTED';
  }
}

/** Wraps what is not one of the bus's errors, so that no bare `Error` leaves a public call. */
export function asBusError(error: unknown, context: ErrorContext = {}): BusError {
  if (BusError.is(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ConnectionError(message, { ...context, cause: error });
}

/** What a middleware or a schema has thrown, where an error of the bus must name it: no other try can help. */
export function refused(error: unknown): BusError {
  if (BusError.is(error)) return error;
  return new ValidationError(error instanceof Error ? error.message : String(error), { cause: error });
}
