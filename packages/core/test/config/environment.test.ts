import { describe, expect, it } from 'vitest';
import { readEnvironment, underTestRunner } from '../../src/config/environment.ts';
import { ConfigError } from '../../src/errors.ts';

describe('the environment', () => {
  it('says nothing when it is empty', () => {
    expect({ ...readEnvironment({}) }).toEqual({
      broker: undefined,
      serializer: undefined,
      prefix: undefined,
      logLevel: undefined,
    });
  });

  it('names broker, serializer, prefix and log level', () => {
    const variables = {
      AMB_BROKER: 'kafka',
      AMB_SERIALIZER: 'msgpack',
      AMB_PREFIX: 'shop',
      AMB_LOG_LEVEL: 'debug',
    };
    expect({ ...readEnvironment(variables) }).toEqual({
      broker: 'kafka',
      serializer: 'msgpack',
      prefix: 'shop',
      logLevel: 'debug',
    });
  });

  it.each([
    [{ AMB_BROKER: 'rabbit' }, /AMB_BROKER must be memory, redis.*not "rabbit"/],
    [{ AMB_BROKER: 'rabbit', VITEST: 'true' }, /AMB_BROKER/],
    [{ AMB_SERIALIZER: 'xml' }, /AMB_SERIALIZER must be json, msgpack, not "xml"/],
    [{ AMB_SERIALIZER: 'protobuf' }, /@ambus\/core\/protobuf/],
    [{ AMB_PREFIX: 'a b' }, /AMB_PREFIX/],
    [{ AMB_LOG_LEVEL: 'loud' }, /AMB_LOG_LEVEL/],
  ])('is refused by name when it makes no sense: %j', (variables, message) => {
    expect(() => ({ ...readEnvironment(variables) })).toThrow(ConfigError);
    expect(() => ({ ...readEnvironment(variables) })).toThrow(message);
  });

  it('is not looked at where an option says it', () => {
    expect(readEnvironment({ AMB_BROKER: 'rabbit', AMB_PREFIX: 'shop' }).prefix).toBe('shop');
  });

  it.each([
    { VITEST: 'true' },
    { JEST_WORKER_ID: '1' },
    { NODE_TEST_CONTEXT: 'child' },
    { NODE_ENV: 'test' },
  ])('does not pick the broker of tests, unless told: %j', (runner) => {
    expect(underTestRunner(runner)).toBe(true);
    expect(readEnvironment({ ...runner, AMB_BROKER: 'kafka' }).broker).toBeUndefined();
    expect(readEnvironment({ ...runner, AMB_BROKER: 'kafka', AMB_TEST_BROKER: 'redis' }).broker).toBe(
      'redis',
    );
  });
});
