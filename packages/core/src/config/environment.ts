import { ConfigError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../logger.ts';
import { describe } from '../topic/topic.ts';
import { BROKER_NAMES, type BrokerName } from './load-broker.ts';

/** What the environment says. Brokers read the variables of their own (`AMB_REDIS_URL` …) themselves. */
export interface Environment {
  readonly broker: BrokerName | undefined;
  readonly serializer: 'json' | 'msgpack' | undefined;
  readonly prefix: string | undefined;
  readonly logLevel: LogLevel | undefined;
}

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * The environment, variable by variable: one is looked at when it is asked for, because what an option says explicitly
 * must not fail at a variable that it makes irrelevant.
 *
 * @throws {ConfigError} on reading a field, naming the variable, its value and what is allowed
 */
export function readEnvironment(variables: Variables): Environment {
  const pick = <T extends string>(name: string, allowed: readonly T[]): T | undefined => {
    const value = variables[name];
    if (value === undefined || value === '') return undefined;
    if (allowed.includes(value as T)) return value as T;
    throw new ConfigError(
      `environment variable ${name} must be ${allowed.join(', ')}, not ${describe(value)}`,
    );
  };
  return {
    get broker() {
      const configured = pick('AMB_BROKER', BROKER_NAMES);
      return underTestRunner(variables) ? pick('AMB_TEST_BROKER', BROKER_NAMES) : configured;
    },
    get serializer() {
      if (variables.AMB_SERIALIZER === 'protobuf') {
        throw new ConfigError(
          'environment variable AMB_SERIALIZER cannot be "protobuf": its schemas must be named; ' +
            'use createBus({ serializer: await protobuf({ … }) }) of @ambus/core/protobuf',
        );
      }
      return pick('AMB_SERIALIZER', ['json', 'msgpack'] as const);
    },
    get prefix() {
      const prefix = variables.AMB_PREFIX || undefined;
      if (prefix === undefined || /^[A-Za-z0-9_-]{1,32}$/.test(prefix)) return prefix;
      throw new ConfigError(
        `environment variable AMB_PREFIX must be 1 to 32 letters, digits, "_" or "-", not ${describe(prefix)}`,
      );
    },
    get logLevel() {
      return pick('AMB_LOG_LEVEL', LOG_LEVELS);
    },
  };
}

/** Whether this process runs tests: Vitest, Jest, Mocha in its usual set-up, or node:test. */
export function underTestRunner(variables: Variables): boolean {
  return (
    variables.VITEST !== undefined ||
    variables.JEST_WORKER_ID !== undefined ||
    variables.NODE_TEST_CONTEXT !== undefined ||
    variables.NODE_ENV === 'test'
  );
}
