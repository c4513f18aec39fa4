import type { Broker } from '../broker.ts';
import type { Feature } from '../capabilities.ts';
import type { Core } from '../core.ts';
import {
  DEAD_LETTER_RETENTION,
  DEAD_LETTER_TOPIC,
  type DeadLetterOptions,
  type DeadLetterRule,
} from '../dead-letter/options.ts';
import { UnsupportedError, ValidationError } from '../errors.ts';
import { composeConsume, type Middleware } from '../middleware/middleware.ts';
import { retryPolicy } from '../retry/policy.ts';
import { isLiteral } from '../topic/pattern.ts';
import { compileFilter } from './filter.ts';
import type { Message } from './message.ts';
import type { BatchAck, ConsumeMessage, SubscribeOptions } from './options.ts';
import type { ConsumerPlan } from './plan.ts';
import { startFrom } from './start-from.ts';

const DEFAULT_PREFETCH = 64;
const DEFAULT_BATCH_WAIT = 50;
export const DEFAULT_HANDLER_TIMEOUT = 300_000;

/** Fills in a subscription's defaults from the bus's, and refuses what the broker does not offer. Options are checked. */
export function makePlan(
  pattern: string,
  handler: (input: never) => unknown,
  options: SubscribeOptions,
  core: Core,
  middleware: readonly Middleware[],
): ConsumerPlan {
  const channels = [...core.decoding.topics.channels(pattern)];
  requireFeatures(core.broker, pattern, options, channels);
  const batch = typeof options.ack === 'object' ? options.ack : undefined;
  const concurrency = options.concurrency ?? 1;
  const retry = retryPolicy(options.retry, core.retry);
  const deadLetter = deadLetterRule(options.deadLetter, core.deadLetter);
  if (deadLetter !== false) {
    const retention = { maxAge: deadLetter.retention };
    core.decoding.topics.declare(deadLetter.topic, { durability: 'durable', retention });
  }
  const handle = handler as ConsumeMessage;
  return {
    pattern,
    group: options.group,
    channels,
    from: startFrom('subscribe option "from"', options.from ?? 'new', core.clock),
    concurrency,
    prefetch: prefetch(options, concurrency, batch),
    autoAck: options.ack !== 'manual',
    atMostOnce: options.delivery === 'at-most-once',
    transaction: options.transaction === true,
    handlerTimeout: options.handlerTimeout ?? DEFAULT_HANDLER_TIMEOUT,
    retry: options.order === undefined ? retry : { ...retry, order: options.order },
    deadLetter,
    circuitBreaker:
      options.circuitBreaker === false ? undefined : (options.circuitBreaker ?? core.circuitBreaker),
    filter: compileFilter(options.filter as SubscribeOptions['filter']),
    handle: batch === undefined ? composeConsume(middleware, handle) : handle,
    batch: batch && {
      size: batch.batch,
      maxWait: batch.maxWait ?? DEFAULT_BATCH_WAIT,
      handle: handler as unknown as (messages: readonly Message[]) => unknown,
      wrap: middleware.some((layer) => layer.consume !== undefined)
        ? (inner) => composeConsume(middleware, inner)
        : undefined,
    },
  };
}

function prefetch(options: SubscribeOptions, concurrency: number, batch: BatchAck | undefined): number {
  const chosen =
    options.prefetch ?? Math.max(DEFAULT_PREFETCH, 2 * concurrency, 4 * (batch?.batch ?? 0) * concurrency);
  if (batch !== undefined && chosen < batch.batch) {
    throw new ValidationError(
      `subscribe option "prefetch" must be at least the batch size (${batch.batch}), not ${chosen}`,
    );
  }
  return Math.min(chosen, 100_000);
}

/** A `deadLetter` option with defaults filled in. */
export function deadLetterRule(
  options: DeadLetterOptions | false | undefined,
  base: DeadLetterRule | false,
): DeadLetterRule | false {
  if (options === undefined) return base;
  if (options === false) return false;
  const from = base === false ? { topic: DEAD_LETTER_TOPIC, retention: DEAD_LETTER_RETENTION } : base;
  return { topic: options.topic ?? from.topic, retention: options.retention ?? from.retention };
}

function requireFeatures(
  broker: Broker,
  pattern: string,
  options: SubscribeOptions,
  channels: readonly ('durable' | 'ephemeral')[],
): void {
  const need = (feature: Feature, what: string): void => {
    if (broker.capabilities[feature] === 'none') {
      throw new UnsupportedError(`${what}: ${broker.name} does not offer ${feature}`, {
        broker: broker.name,
      });
    }
  };
  for (const channel of channels) need(channel, `subscribing to "${pattern}", which is ${channel}`);
  if (!isLiteral(pattern)) need('wildcards', `pattern "${pattern}"`);
  if (options.from === 'earliest') need('replay', 'subscribe option "from"');
  if (options.from instanceof Date) need('replayFromDate', 'subscribe option "from"');
  if (options.delivery === 'exactly-once') need('deduplication', 'subscribe option "delivery"');
  if (options.transaction !== true) return;
  need('transactions', 'subscribe option "transaction"');
  if (options.group === undefined || channels.includes('ephemeral')) {
    throw new ValidationError(
      `subscribe option "transaction" needs a "group" on durable topics: there is no ack to publish with on "${pattern}"`,
      { topic: pattern },
    );
  }
  if (options.delivery === 'at-most-once') {
    throw new ValidationError(
      'subscribe option "transaction" cannot be given with "delivery": "at-most-once", which acks before the handler runs',
      { topic: pattern },
    );
  }
}
