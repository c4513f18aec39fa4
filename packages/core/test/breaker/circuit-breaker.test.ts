import { expect, it } from 'vitest';
import { CircuitBreaker } from '../../src/breaker/circuit-breaker.ts';
import type { Clock } from '../../src/clock.ts';

function make(options: ConstructorParameters<typeof CircuitBreaker>[0]) {
  const timers: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    setTimeout: (callback) => timers.push(callback),
    clearTimeout: () => {},
  };
  const seen: string[] = [];
  const breaker = new CircuitBreaker(options, clock, {
    opened: () => seen.push('opened'),
    halfOpened: () => seen.push('half-open'),
    closed: () => seen.push('closed'),
  });
  return { breaker, seen, recover: () => timers.shift()?.() };
}

it('opens after failures in a row, and a success starts the count anew', () => {
  const { breaker, seen } = make({ failureThreshold: 2 });
  breaker.failure('x');
  breaker.success();
  breaker.failure('x');
  expect(seen).toEqual([]);
  breaker.failure('x');
  expect(seen).toEqual(['opened']);
  expect(breaker.admit()).toBe(false);
});

it('lets just so many trials through, and closes when all succeed', () => {
  const { breaker, seen, recover } = make({ failureThreshold: 1, halfOpenRequests: 2 });
  breaker.failure('x');
  recover();
  expect([breaker.admit(), breaker.admit(), breaker.admit()]).toEqual([true, true, false]);
  breaker.success();
  expect(breaker.state).toBe('half-open');
  breaker.success();
  expect(seen).toEqual(['opened', 'half-open', 'closed']);
  expect(breaker.admit()).toBe(true);
});

it('opens again when a trial fails', () => {
  const { breaker, seen, recover } = make({ failureThreshold: 5, halfOpenRequests: 2 });
  for (let i = 0; i < 5; i++) breaker.failure('x');
  recover();
  breaker.admit();
  breaker.failure('x');
  breaker.failure('late, of before');
  expect(seen).toEqual(['opened', 'half-open', 'opened']);
});

it('gives a trial back that told nothing', () => {
  const { breaker, recover } = make({ failureThreshold: 1, halfOpenRequests: 1 });
  breaker.failure('x');
  recover();
  expect(breaker.admit()).toBe(true);
  breaker.forget();
  expect(breaker.admit()).toBe(true);
});
