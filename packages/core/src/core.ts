import type { CircuitBreakerOptions } from './breaker/circuit-breaker.ts';
import type { Broker } from './broker.ts';
import type { Clock } from './clock.ts';
import type { DeadLetterRule } from './dead-letter/options.ts';
import type { Emitter } from './events/emitter.ts';
import type { Logger } from './logger.ts';
import type { Stage } from './publish/build-record.ts';
import type { PublishOptions } from './publish/options.ts';
import type { Publisher } from './publish/publisher.ts';
import type { Receipt } from './publish/receipt.ts';
import type { RetryPolicy } from './retry/policy.ts';
import type { Stats } from './stats.ts';
import type { Decoding } from './subscribe/decode.ts';

/** What the parts of one bus share. */
export interface Core {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: Emitter;
  readonly stats: Stats;
  readonly publisher: Publisher;
  readonly decoding: Decoding;
  readonly retry: RetryPolicy;
  readonly deadLetter: DeadLetterRule | false;
  readonly circuitBreaker: CircuitBreakerOptions | undefined;
  /**
   * As `bus.publish`, but allowed while the bus drains: handlers use it.
   *
   * @param stage - takes the finished record in the broker's place
   */
  publish(topic: string, data: unknown, options: PublishOptions, stage?: Stage): Promise<Receipt>;
}
