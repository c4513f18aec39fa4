import type { Delivery } from '../broker.ts';
import { boolean, checkOptions, milliseconds, type Spec, text } from '../config/check.ts';
import { type DeadLetterInfo, readInfo } from '../dead-letter/record.ts';
import type { BusRecord, Headers } from '../envelope/record.ts';
import { type DeliveryMode, PRIORITIES, type Priority, type PublishOptions } from '../publish/options.ts';
import type { Receipt } from '../publish/receipt.ts';

/**
 * What a handler gets. Nothing in it can be changed but its settlement, and that once: a second settlement of the same
 * kind is ignored, one of another kind is refused with a `ValidationError`, and one after the lease was lost with a
 * `LeaseLostError`.
 */
// biome-ignore lint/suspicious/noExplicitAny: an untyped bus hands out untyped data, as JSON.parse does
export interface Message<T = any> {
  readonly id: string;
  readonly topic: string;
  /** The deserialized payload; where its topic has a schema, the schema's output. */
  readonly data: T;
  /** A copy of the payload as it came, uncompressed. */
  readonly body: Uint8Array;
  readonly headers: Headers;
  /** When it was published. */
  readonly time: Date;
  readonly key: string | undefined;
  readonly source: string | undefined;
  readonly type: string | undefined;
  readonly priority: Priority;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly replyTo: string | undefined;
  readonly expiresAt: Date | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly dataSchema: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** How the publisher asked for it to be delivered. */
  readonly delivery: DeliveryMode;
  /** How often this group got it, this time included; 1 the first time. */
  readonly attempt: number;
  readonly group: string | undefined;
  /** Why it is a dead letter, on a message of the dead-letter topic. */
  readonly failure: DeadLetterInfo | undefined;
  /** The driver's own message. */
  readonly native: unknown;
  /** Fires when the message is no longer this handler's: timeout, lost lease, or the bus's close deadline. */
  readonly signal: AbortSignal;

  /** It is done. Resolves when the broker knows. */
  ack(): Promise<void>;
  /**
   * It failed. Comes again as the retry policy says, or goes to the dead letters after the last retry.
   *
   * @param options.delay - milliseconds instead of the policy's delay
   * @param options.error - for the dead letter and the events
   */
  nack(options?: { readonly delay?: number; readonly error?: unknown }): Promise<void>;
  /** It comes again at once, whatever the retry policy says about delays. The attempt counts. */
  requeue(): Promise<void>;
  /** It is not to be retried: goes to the dead letters. With `requeue: true` it is `nack({ delay })`. */
  reject(options?: {
    readonly requeue?: boolean;
    readonly delay?: number;
    readonly reason?: string;
  }): Promise<void>;
  /** It goes to the dead letters with this reason. */
  deadLetter(reason: string): Promise<void>;
  /**
   * Lets the handler time out `duration` milliseconds from now, which may also be earlier than before; `Infinity` for never.
   *
   * @throws {ValidationError} when it is no whole number of at least 1
   */
  extend(duration: number): void;
  /**
   * Publishes what this message caused: its id becomes the `causationId`, its correlation and trace go on. Resolves when
   * the broker has accepted it. In a subscription with `transaction` it resolves when the message is staged: it is stored,
   * and seen by others, with the ack, and dropped if the message is settled in any other way. What is staged too late,
   * after the settlement, is refused with a `ValidationError`.
   */
  publish(topic: string, data: unknown, options?: PublishOptions): Promise<Receipt>;
  /** The same message with other data or headers, for middleware. Settling either settles both. */
  with<U>(changes: { readonly data?: U; readonly headers?: Headers }): Message<U>;
}

/** Where a message is. `abandoned`: its handler ran out of time and, for all we know, still runs. */
export type Phase = 'waiting' | 'handling' | 'handled' | 'abandoned';

/** How a message can be settled. */
export type Settlement = 'ack' | 'nack' | 'deadLetter';

/** A batch that is being handled: it holds one slot, until its handler ends or none of its messages is waited for. */
export interface BatchRun {
  readonly messages: readonly IncomingMessage[];
  /** The first error before its handler was called. */
  failure: unknown;
  /** Its handler has been called. */
  hasBegun: boolean;
  isOver: boolean;
}

/** What a message needs of the consumer that holds it. */
export interface MessageOwner {
  readonly group: string | undefined;
  settleAck(message: IncomingMessage): Promise<void>;
  settleNack(message: IncomingMessage, delay: number | undefined, error: unknown): Promise<void>;
  settleDeadLetter(message: IncomingMessage, reason: string, error: unknown): Promise<void>;
  extend(message: IncomingMessage, duration: number): void;
  publish(message: IncomingMessage, topic: string, data: unknown, options: PublishOptions): Promise<Receipt>;
}

const NO_HEADERS: Headers = Object.freeze({});

const NACK_SPEC: Spec<{ delay?: number; error?: unknown }> = {
  delay: milliseconds(0),
  error: () => undefined,
};
const REJECT_SPEC: Spec<{ requeue?: boolean; delay?: number; reason?: string }> = {
  requeue: boolean,
  delay: milliseconds(0),
  reason: text(4_096),
};

/**
 * The one object that a message has on its way through the consumer, from the broker's delivery to its settlement. The
 * fields after the public ones are core's own; they are plain, not `#private`, because `with` derives from it.
 */
export class IncomingMessage implements Message {
  /** The broker's object. */
  readonly loan: Delivery;
  readonly record: BusRecord;
  readonly owner: MessageOwner;
  attempt: number;
  /** Its place in a queue of batches, which it keeps when it comes again. */
  order = 0;
  phase: Phase = 'waiting';
  /** The lease is gone: it is somebody else's. */
  isLost = false;
  /** Its settlement has been carried out. */
  isSettled = false;
  /** No other message of its key may run. */
  holdsLane = false;
  /** The batch that it is handled in. */
  batch: BatchRun | undefined = undefined;
  /** What settles or settled it. */
  settlement: Settlement | undefined = undefined;
  /** The running or finished settlement, for whoever settles again. */
  settled: Promise<void> | undefined = undefined;
  controller: AbortController | undefined = undefined;
  /** Why `signal` has fired, also where nobody has asked for it yet. */
  abortReason: Error | undefined = undefined;
  startedAt = 0;
  /** When it times out. */
  deadline = 0;
  /** The list of what is being handled, which `Deadlines` keeps. */
  isWatched = false;
  previousWatched: IncomingMessage | undefined = undefined;
  nextWatched: IncomingMessage | undefined = undefined;
  data: unknown = undefined;
  decompressed: Uint8Array | undefined = undefined;
  /** The application's own copy of the body. */
  copy: Uint8Array | undefined = undefined;

  constructor(delivery: Delivery, owner: MessageOwner) {
    this.loan = delivery;
    this.record = delivery.record;
    this.owner = owner;
    this.attempt = delivery.attempt;
  }

  get id(): string {
    return this.record.id;
  }
  get topic(): string {
    return this.record.topic;
  }
  /** The payload as it came, uncompressed; shared with others, so not for the application. */
  get bytes(): Uint8Array {
    return this.decompressed ?? this.record.body;
  }
  get body(): Uint8Array {
    this.copy ??= Buffer.from(this.bytes);
    return this.copy;
  }
  get headers(): Headers {
    return this.record.headers ?? NO_HEADERS;
  }
  get time(): Date {
    return new Date(this.record.time);
  }
  get key(): string | undefined {
    return this.record.key;
  }
  get source(): string | undefined {
    return this.record.source;
  }
  get type(): string | undefined {
    return this.record.type;
  }
  get priority(): Priority {
    return PRIORITIES[this.record.priority];
  }
  get correlationId(): string | undefined {
    return this.record.correlationId;
  }
  get causationId(): string | undefined {
    return this.record.causationId;
  }
  get replyTo(): string | undefined {
    return this.record.replyTo;
  }
  get expiresAt(): Date | undefined {
    return this.record.expiresAt === undefined ? undefined : new Date(this.record.expiresAt);
  }
  get contentType(): string | undefined {
    return this.record.contentType;
  }
  get contentEncoding(): string | undefined {
    return this.record.contentEncoding;
  }
  get dataSchema(): string | undefined {
    return this.record.dataSchema;
  }
  get traceparent(): string | undefined {
    return this.record.traceparent;
  }
  get tracestate(): string | undefined {
    return this.record.tracestate;
  }
  get delivery(): DeliveryMode {
    return this.record.extensions?.delivery ?? 'at-least-once';
  }
  get group(): string | undefined {
    return this.owner.group;
  }
  get native(): unknown {
    return this.loan.native;
  }

  get failure(): DeadLetterInfo | undefined {
    return readInfo(this.record);
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.abortReason !== undefined) this.controller.abort(this.abortReason);
    }
    return this.controller.signal;
  }

  /** Fires `signal`. */
  abort(reason: Error): void {
    this.abortReason ??= reason;
    this.controller?.abort(reason);
  }

  ack(): Promise<void> {
    return this.owner.settleAck(this);
  }
  async nack(options: { readonly delay?: number; readonly error?: unknown } = {}): Promise<void> {
    checkOptions('nack option', options, NACK_SPEC);
    return this.owner.settleNack(this, options.delay, options.error);
  }
  requeue(): Promise<void> {
    return this.owner.settleNack(this, 0, undefined);
  }
  async reject(
    options: { readonly requeue?: boolean; readonly delay?: number; readonly reason?: string } = {},
  ): Promise<void> {
    checkOptions('reject option', options, REJECT_SPEC);
    return options.requeue === true
      ? this.owner.settleNack(this, options.delay, undefined)
      : this.owner.settleDeadLetter(this, options.reason ?? 'rejected', undefined);
  }
  deadLetter(reason: string): Promise<void> {
    return this.owner.settleDeadLetter(this, reason, undefined);
  }
  extend(duration: number): void {
    this.owner.extend(this, duration);
  }
  publish(topic: string, data: unknown, options: PublishOptions = {}): Promise<Receipt> {
    return this.owner.publish(this, topic, data, {
      correlationId: this.correlationId ?? this.id,
      causationId: this.id,
      traceparent: this.traceparent,
      tracestate: this.tracestate,
      ...options,
    });
  }

  with<U>(changes: { readonly data?: U; readonly headers?: Headers }): Message<U> {
    const changed: PropertyDescriptorMap = {};
    if ('data' in changes) changed.data = { value: changes.data, enumerable: true };
    if (changes.headers !== undefined) changed.headers = { value: changes.headers, enumerable: true };
    const base = original(this);
    // Settlement acts on the original, whichever view it is called on.
    for (const name of ['ack', 'nack', 'requeue', 'reject', 'deadLetter', 'extend'] as const) {
      changed[name] = {
        value: (...args: never[]) => (base[name] as (...args: never[]) => unknown).apply(base, args),
      };
    }
    changed.signal = { get: () => base.signal };
    changed[ORIGINAL] = { value: base };
    return Object.create(this, changed) as Message<U>;
  }
}

const ORIGINAL = Symbol('original message');

/** The message that a view made by `with` is of; the message itself where it is none. */
function original(message: IncomingMessage): IncomingMessage {
  return (message as { [ORIGINAL]?: IncomingMessage })[ORIGINAL] ?? message;
}
