import type { Core } from '../core.ts';
import type { ConsumerPlan } from '../subscribe/plan.ts';
import { type BreakerHooks, CircuitBreaker } from './circuit-breaker.ts';

/** The breaker of one subscription, if it is to have one: tells the log and the bus's events, and passes on to `hooks`. */
export function subscriptionBreaker(
  { circuitBreaker, pattern, group }: ConsumerPlan,
  { clock, logger, events }: Core,
  hooks: BreakerHooks,
): CircuitBreaker | undefined {
  if (circuitBreaker === undefined) return undefined;
  const event = { topic: pattern, group, side: 'subscribe' } as const;
  return new CircuitBreaker(circuitBreaker, clock, {
    opened: (error) => {
      logger.warn({ pattern, group, err: error }, 'circuit breaker opened, consumption paused');
      events.emit('circuit_breaker.opened', { ...event, error });
      hooks.opened(error);
    },
    halfOpened: () => {
      events.emit('circuit_breaker.half_opened', event);
      hooks.halfOpened();
    },
    closed: () => {
      logger.info({ pattern, group }, 'circuit breaker closed, consumption goes on');
      events.emit('circuit_breaker.closed', event);
      hooks.closed();
    },
  });
}
