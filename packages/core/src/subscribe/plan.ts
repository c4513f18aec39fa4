import type { CircuitBreakerOptions } from '../breaker/circuit-breaker.ts';
import type { StartPosition } from '../broker.ts';
import type { Channel } from '../envelope/record.ts';
import type { BusError } from '../errors.ts';
import type { SettlementRules } from '../settlement/settler.ts';
import type { Message } from './message.ts';
import type { ConsumeMessage } from './options.ts';

/** Everything a consumer needs to know, defaults filled in. */
export interface ConsumerPlan extends SettlementRules {
  readonly channels: readonly Exclude<Channel, 'reply'>[];
  readonly from: StartPosition;
  readonly concurrency: number;
  readonly prefetch: number;
  /** Room for so many deliveries in the beginning; the prefetch where it is missing. */
  readonly room?: number;
  /** Whether the end of the handler settles the message. */
  readonly autoAck: boolean;
  readonly handlerTimeout: number;
  readonly circuitBreaker: CircuitBreakerOptions | undefined;
  readonly filter: ((message: Message) => boolean) | undefined;
  /** Runs middleware and handler. Not used where there is a batch. */
  readonly handle: ConsumeMessage;
  readonly batch: BatchPlan | undefined;
  /** Whether one more handler may start while `running` others run. */
  readonly mayRun?: (running: number) => boolean;
  /** Told when the subscription has ended by itself. */
  readonly onFailed?: (error: BusError) => void;
}

/** For a batch handler. */
export interface BatchPlan {
  readonly size: number;
  readonly maxWait: number;
  handle(messages: readonly Message[]): unknown;
  /** Puts middleware around each message; undefined where there is none. */
  readonly wrap: ((inner: ConsumeMessage) => ConsumeMessage) | undefined;
}
