import { describe, expect, it } from 'vitest';
import { ConnectionError, SerializationError, ValidationError } from '../../src/errors.ts';
import { decodeRetry, encodeRetry, retryDelay, retryPolicy } from '../../src/retry/policy.ts';
import { isRetryable } from '../../src/retry/retryable.ts';

const delays = (options: Parameters<typeof retryPolicy>[0], attempts: number, random?: number): number[] => {
  const policy = retryPolicy(options);
  return Array.from({ length: attempts }, (_, i) => retryDelay(policy, i + 1, random));
};

describe('retry delays', () => {
  it('double by default, from one second to one minute', () => {
    expect(delays({ jitter: 0 }, 8)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });
  it('grow linearly when told', () => {
    expect(delays({ jitter: 0, backoff: 'linear', initialDelay: 100 }, 3)).toEqual([100, 200, 300]);
  });
  it('follow a list, whose last repeats', () => {
    expect(delays({ delays: [1_000, 5_000, 15_000] }, 4)).toEqual([1_000, 5_000, 15_000, 15_000]);
    expect(retryPolicy({ delays: [1_000, 5_000, 15_000] }).maxRetries).toBe(3);
    expect(retryPolicy({ delays: [1_000], maxRetries: 9 }).maxRetries).toBe(9);
  });
  it('vary by the jitter and never pass the maximum', () => {
    expect(delays({ jitter: 0.1 }, 1, 0)).toEqual([900]);
    expect(delays({ jitter: 0.1 }, 1, 1)).toEqual([1_100]);
    expect(delays({ jitter: 0.5, maxDelay: 1_200 }, 1, 1)).toEqual([1_200]);
    expect(delays({ delays: [1_000], jitter: 0.2 }, 1, 1)).toEqual([1_200]);
  });
});

describe('retry policies', () => {
  it('are none of no delay, however late the attempt', () => {
    expect(retryDelay(retryPolicy({ initialDelay: 0, maxRetries: 1_000_000 }), 5_000)).toBe(0);
  });

  it('take what is left out from what they stand on', () => {
    const bus = retryPolicy({ maxRetries: 7, initialDelay: 5 });
    expect(retryPolicy({ initialDelay: 9 }, bus)).toMatchObject({ maxRetries: 7, initialDelay: 9 });
    expect(retryPolicy({ maxRetries: undefined }, bus).maxRetries).toBe(7);
    expect(retryPolicy(false, bus).maxRetries).toBe(0);
    expect(retryPolicy(undefined, bus)).toBe(bus);
  });
  it('travel with a message', () => {
    expect(decodeRetry(encodeRetry({ maxRetries: 1, retryOn: 'ETIMEDOUT' }))).toEqual({
      maxRetries: 1,
      retryOn: 'ETIMEDOUT',
    });
    expect(decodeRetry(encodeRetry(false))).toBe(false);
    expect(() => encodeRetry({ retryOn: TypeError })).toThrow(/codes and names/);
    expect(decodeRetry('{"maxRetries":-1}')).toBeUndefined();
    expect(decodeRetry('nonsense')).toBeUndefined();
  });
});

describe('what is worth another try', () => {
  const named = (name: string): Error => Object.assign(new Error('x'), { name });
  it.each([
    [new Error('x'), true],
    ['a thrown string', true],
    [undefined, true],
    [new TypeError('x'), true],
    [new ConnectionError('x'), true],
    [new ValidationError('x'), false],
    [new SerializationError('x'), false],
    [named('ZodError'), false],
    [named('AuthenticationError'), false],
    [named('PermissionDeniedError'), false],
    [Object.assign(new Error('x'), { code: 'EACCES' }), false],
    [Object.assign(new Error('x'), { retryable: false }), false],
    [Object.assign(new Error('x'), { name: 'ValidationError', retryable: true }), true],
  ])('%s: %s', (error, expected) => {
    expect(isRetryable(error, retryPolicy({}))).toBe(expected);
  });
  it('is what retryOn says, and nothing else', () => {
    const only = retryPolicy({
      retryOn: [RangeError, 'ETIMEDOUT', (error) => (error as Error).message === 'again'],
    });
    expect(isRetryable(new RangeError('x'), only)).toBe(true);
    expect(isRetryable(Object.assign(new Error('x'), { code: 'ETIMEDOUT' }), only)).toBe(true);
    expect(isRetryable(new Error('again'), only)).toBe(true);
    expect(isRetryable(new Error('x'), only)).toBe(false);
    expect(isRetryable(new ValidationError('x'), retryPolicy({ retryOn: Error }))).toBe(true);
  });
});
