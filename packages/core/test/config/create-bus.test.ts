import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { memory } from '../../../memory/src/index.ts';
import { BusError, ConfigError, createBus, json, systemClock, ValidationError } from '../../src/index.ts';

describe('createBus', () => {
  it.each([
    [{ broker: 'rabbit' }, /"broker" must be "memory" or "redis".*not "rabbit"/],
    [{ broker: {} }, /"broker" must be a broker/],
    [{ brokre: 'memory' }, /"brokre" does not exist; there are broker,/],
    [{ url: 7 }, /"url"/],
    [{ serializer: 'xml' }, /"serializer"/],
    [{ serializer: { contentType: 'x' } }, /"serializer"/],
    [{ topics: { 'a..b': {} } }, /pattern "a\.\.b"/],
    [{ topics: { a: { durability: 'forever' } } }, /"durability" of "a" must be "durable" or "ephemeral"/],
    [{ topics: { a: { retention: { maxAge: 0 } } } }, /"retention" of "a"/],
    [{ topics: { a: { partitions: 3 } } }, /"partitions", which memory does not know/],
    [{ topics: { a: { schema: {} } } }, /"schema" of "a" must be a Standard Schema/],
    [{ retry: { maxRetries: -1 } }, /"retry".*"maxRetries".*not -1/],
    [{ retry: { retries: 1 } }, /"retries" does not exist/],
    [{ deadLetter: { topic: 'a.*' } }, /"deadLetter"/],
    [{ circuitBreaker: { failureThreshold: 0 } }, /"circuitBreaker"/],
    [{ middleware: [{}] }, /"middleware"/],
    [{ logger: {} }, /"logger" must be a logger/],
    [{ publishTimeout: 0 }, /"publishTimeout" must be a whole number of milliseconds/],
    [{ closeTimeout: Number.NaN }, /"closeTimeout"/],
    [{ maxPending: 0.5 }, /"maxPending"/],
    [{ whenFull: 'drop' }, /"whenFull" must be "wait" or "fail"/],
    [{ compress: 'lz4' }, /"compress"/],
    [{ prefix: '' }, /"prefix"/],
    [{ provision: 'maybe' }, /"provision"/],
    [{ clock: {} }, /"clock"/],
    [{ topics: { 'dead-letters': { durability: 'ephemeral' } } }, /dead-letter topic.*must be durable/],
  ])('refuses %j by name', async (options, message) => {
    const failure = await createBus(options as never).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as Error).message).toMatch(message);
  });

  it.each([
    `redis://user:hidden@${'h'.repeat(3_000)}`,
    `redis://user:pa/hid@den/hidden@h${'h'.repeat(3_000)}`,
    `redis://user:hidden${'h'.repeat(3_000)}`,
    `nats://h?${'x=1&'.repeat(10)}password=hidden${'h'.repeat(3_000)}`,
  ])('shows no secret of a url that is refused', async (url) => {
    for (const options of [{ broker: 'memory', url }, { broker: url }] as const) {
      const error: unknown = await createBus(options as never).catch((one: unknown) => one);
      expect(ConfigError.is(error) && error.message).not.toContain('hidden');
      expect(ConfigError.is(error) && error.message).toContain('***');
    }
  });

  it('says which package to install', async () => {
    const failure = await createBus({ broker: 'servicebus' }).catch((error: unknown) => error);
    expect(ConfigError.is(failure)).toBe(true);
    expect((failure as Error).message).toContain('npm install @ambus/servicebus');
  });

  it('refuses a url beside a broker object, and secrets do not show', async () => {
    const failure = await createBus({ broker: memory({ hub: 'x1' }), url: 'redis://u:secret@h' }).catch(
      (e: unknown) => e,
    );
    expect((failure as Error).message).toMatch(/"url"/);
    expect((failure as Error).message).not.toContain('secret');
  });

  it('takes a pino logger as it is', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
    await using bus = await createBus({
      broker: memory({ hub: 'x2' }),
      logger,
      deadLetter: false,
      retry: false,
    });
    await bus.subscribe('a', () => Promise.reject(new Error('boom')), { group: 'g' });
    await bus.publish('a', 1);
    await expect.poll(() => lines.join()).toContain('boom');
  });

  it('is on memory under a test runner', async () => {
    await using bus = await createBus();
    expect(bus.broker).toBe('memory');
  });

  it('prints without its insides', async () => {
    const { inspect } = await import('node:util');
    await using bus = await createBus({ broker: memory({ hub: 'x3' }) });
    expect(inspect(bus)).toBe('Bus(memory, open, 0 subscriptions)');
  });

  it('takes clock and serializers', async () => {
    await using bus = await createBus({
      broker: memory({ hub: 'x4' }),
      serializer: json(),
      clock: systemClock,
    });
    await expect(bus.publish('a', 1)).resolves.toMatchObject({ topic: 'a' });
  });
});

it('errors of another copy of the package are recognised', () => {
  const foreign = Object.assign(new Error('x'), { [Symbol.for('ambus.error')]: 'VALIDATION' });
  expect(BusError.is(foreign)).toBe(true);
  expect(ValidationError.is(foreign)).toBe(true);
  expect(ConfigError.is(foreign)).toBe(false);
  expect(BusError.is(new Error('x'))).toBe(false);
});
