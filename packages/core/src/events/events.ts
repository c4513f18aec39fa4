import type { BusError } from '../errors.ts';

/** Which message an event is about. */
export interface MessageEvent {
  readonly id: string;
  readonly topic: string;
}

/** … and which consumer had it. */
export interface ConsumerEvent extends MessageEvent {
  readonly pattern: string;
  /** Undefined for a subscription without a group. */
  readonly group: string | undefined;
  readonly attempt: number;
}

/** What a circuit breaker guards. */
export interface BreakerEvent {
  /** The topic that is published to, or the pattern of the subscription. */
  readonly topic: string;
  readonly group: string | undefined;
  readonly side: 'publish' | 'subscribe';
}

/** Every event of a bus, by name. */
export interface BusEvents {
  /** The broker is reached for the first time. */
  connected: { readonly broker: string };
  /** The connection broke; it heals by itself. */
  disconnected: { readonly broker: string; readonly error: BusError };
  /** The connection and all subscriptions are back. */
  reconnected: { readonly broker: string };
  /** `close()` is done. */
  closed: { readonly broker: string };
  /** Something an operator should know. Also logged. */
  warning: { readonly broker: string; readonly message: string; readonly fields: object };

  /** The broker accepted a message. */
  'message.published': MessageEvent;
  /** A handler is done with a message. `duration` in milliseconds. */
  'message.handled': ConsumerEvent & { readonly duration: number };
  /** A handler failed. A retry, a dead letter or, at most once, nothing follows. */
  'message.failed': ConsumerEvent & { readonly error: unknown };
  /** A failed or nacked message comes again after `delay` milliseconds. */
  'message.retried': ConsumerEvent & { readonly delay: number };
  /** A message lies in the dead letters; `deadLetterId` finds it there. */
  'message.dead_lettered': ConsumerEvent & { readonly reason: string; readonly deadLetterId: string };
  /** A message was not handled because its `ttl` had passed. */
  'message.expired': ConsumerEvent;
  /** A filter let a message pass unhandled. */
  'message.filtered': ConsumerEvent;
  /** A message was given up: at most once, or dead letters are switched off. */
  'message.dropped': ConsumerEvent & { readonly reason: string };
  /** The message belongs to somebody else now; its handler's signal fired, and its late ack was or will be refused. */
  'lease.lost': ConsumerEvent & { readonly reason: 'expired' | 'timeout' | 'late' };
  /** A reply came after its request had been answered or given up. */
  'reply.late': { readonly requestId: string; readonly topic: string };

  'circuit_breaker.opened': BreakerEvent & { readonly error: unknown };
  'circuit_breaker.half_opened': BreakerEvent;
  'circuit_breaker.closed': BreakerEvent;

  /** A subscription ended although nobody closed it. */
  'subscription.failed': {
    readonly pattern: string;
    readonly group: string | undefined;
    readonly error: BusError;
  };
}

/** The names, for checking them. */
export const EVENT_NAMES: ReadonlySet<string> = new Set<keyof BusEvents>([
  'connected',
  'disconnected',
  'reconnected',
  'closed',
  'warning',
  'message.published',
  'message.handled',
  'message.failed',
  'message.retried',
  'message.dead_lettered',
  'message.expired',
  'message.filtered',
  'message.dropped',
  'lease.lost',
  'reply.late',
  'circuit_breaker.opened',
  'circuit_breaker.half_opened',
  'circuit_breaker.closed',
  'subscription.failed',
]);
