import { type CircuitBreakerOptions, circuitBreakerOption } from '../breaker/circuit-breaker.ts';
import type { Broker } from '../broker.ts';
import type { Clock } from '../clock.ts';
import { type DeadLetterOptions, deadLetterOption } from '../dead-letter/options.ts';
import type { Logger } from '../logger.ts';
import type { Middleware } from '../middleware/middleware.ts';
import { PUBLISH_SPEC } from '../publish/options.ts';
import { type RetryOptions, retryOption } from '../retry/policy.ts';
import type { CompressOption } from '../serializer/compression.ts';
import type { Serializer } from '../serializer/serializer.ts';
import type { Provision, TopicOptions } from '../topic/config.ts';
import {
  arrayOf,
  type Check,
  either,
  integer,
  milliseconds,
  object,
  oneOf,
  type Spec,
  serializer,
  shaped,
  text,
} from './check.ts';
import { BROKER_NAMES, type BrokerName } from './load-broker.ts';

/** Options by pattern, or a list of them in which the first match counts. */
export type TopicRules =
  | Readonly<Record<string, TopicOptions>>
  | readonly (TopicOptions & { readonly pattern: string })[];

/** Everything a bus can be told. What is left out comes from the environment (`AMB_*`), then from the defaults. */
export interface BusOptions<Rules extends TopicRules = TopicRules> {
  /**
   * A broker's name, whose package is then loaded, or a broker. Default `AMB_BROKER`, else `memory`. Under a test runner
   * (Vitest, Jest, node:test, `NODE_ENV=test`) `AMB_TEST_BROKER` counts instead of `AMB_BROKER`, so that a test never
   * reaches for production by accident.
   */
  readonly broker?: BrokerName | Broker | undefined;
  /** Address of the server, for a broker given by name. Default: the broker's own variable, then its usual local address. */
  readonly url?: string | undefined;
  /** What payloads are written with. Default `AMB_SERIALIZER`, else `json`. */
  readonly serializer?: 'json' | 'msgpack' | Serializer | undefined;
  /** Further ones that are only read. */
  readonly serializers?: readonly Serializer[] | undefined;
  /** Durability, retention, schema and serializer by topic. */
  readonly topics?: Rules | undefined;
  /**
   * For all subscriptions that do not have their own, and what theirs leave open. `false`: no retries. Default: 3 retries,
   * after 1, 2 and 4 seconds, each up to a tenth shorter or longer.
   */
  readonly retry?: RetryOptions | false | undefined;
  /** For all subscriptions that do not have their own. `false`: none. Default: topic `dead-letters`, kept 7 days. */
  readonly deadLetter?: DeadLetterOptions | false | undefined;
  /** A breaker for each subscription that does not have its own, and for each topic that is published to. Default: none. */
  readonly circuitBreaker?: CircuitBreakerOptions | false | undefined;
  /** Around all that is published and handled, the outermost first. Default: none. */
  readonly middleware?: readonly Middleware[] | undefined;
  /** In pino's shape; `false` for silence. Default: warnings and errors to standard error (`AMB_LOG_LEVEL`). */
  readonly logger?: Logger | false | undefined;
  /** Who publishes: CloudEvents `source`, and the name in the server's client list. Default `ambus`. */
  readonly source?: string | undefined;
  /**
   * Milliseconds that a publish, or a subscribe, may take, waiting for a lost connection included. Counted from when the
   * bus has connected; a publish that waits for room (`maxPending`) may take as long for that before. Default 10,000.
   */
  readonly publishTimeout?: number | undefined;
  /** Milliseconds that a request waits for its answer, once the bus has connected. Default 5,000. */
  readonly requestTimeout?: number | undefined;
  /** Milliseconds that connecting may take; on NATS for each server that is silent, and 5,000 at most. Default 5,000. */
  readonly connectTimeout?: number | undefined;
  /** Milliseconds that `close()` waits for handlers. Default 30,000. */
  readonly closeTimeout?: number | undefined;
  /** Publishes that may be unconfirmed at a time. Default 20,000. */
  readonly maxPending?: number | undefined;
  /** What a publish beyond `maxPending` does: wait for room, or fail with a `QueueFullError`. Default `wait`. */
  readonly whenFull?: 'wait' | 'fail' | undefined;
  /** For all publishes that do not say otherwise. Default false. */
  readonly compress?: CompressOption | undefined;
  /** Milliseconds that an idempotency key is remembered, where the broker lets that be chosen. Default 300,000. */
  readonly deduplicationWindow?: number | undefined;
  /** What every name on the server starts with. Default `AMB_PREFIX`, else `ambus`. 1 to 32 letters, digits, `_` or `-`. */
  readonly prefix?: string | undefined;
  /** Whether the bus may create what is missing on the server. Default `create`. */
  readonly provision?: Provision | undefined;
  /** Where time comes from. Default: the broker's clock where it has one, else the machine's. */
  readonly clock?: Clock | undefined;
}

const middleware: Check = (value) => {
  const allowed = 'a middleware (with publish, consume or reply)';
  if (typeof value !== 'object' || value === null) return allowed;
  const { publish, consume, reply } = value as Middleware;
  const isFunction = (hook: unknown): boolean => hook === undefined || typeof hook === 'function';
  return (publish ?? consume ?? reply) !== undefined && [publish, consume, reply].every(isFunction)
    ? undefined
    : allowed;
};

export { middleware as middlewareCheck };

const isBroker = shaped(
  'a broker (such as redis())',
  'connect',
  'publish',
  'subscribe',
  'openInbox',
  'close',
);

export const BUS_SPEC: Spec<BusOptions> = {
  broker: (value) => (typeof value === 'string' ? oneOf(...BROKER_NAMES)(value) : isBroker(value)),
  url: text(2_048),
  serializer: either(oneOf('json', 'msgpack'), serializer),
  serializers: arrayOf(serializer),
  topics: (value) => (Array.isArray(value) ? undefined : object(value)),
  retry: retryOption,
  deadLetter: deadLetterOption,
  circuitBreaker: circuitBreakerOption,
  middleware: arrayOf(middleware),
  logger: (value) =>
    value === false ? undefined : shaped('a logger', 'debug', 'info', 'warn', 'error')(value),
  source: text(256),
  publishTimeout: milliseconds(1),
  requestTimeout: milliseconds(1),
  connectTimeout: milliseconds(1),
  closeTimeout: milliseconds(0),
  maxPending: integer(1),
  whenFull: oneOf('wait', 'fail'),
  compress: PUBLISH_SPEC.compress,
  deduplicationWindow: milliseconds(1),
  prefix: (value) =>
    typeof value === 'string' && /^[A-Za-z0-9_-]{1,32}$/.test(value)
      ? undefined
      : '1 to 32 letters, digits, "_" or "-"',
  provision: oneOf('create', 'check', 'none'),
  clock: shaped('a clock', 'now', 'setTimeout', 'clearTimeout'),
};
