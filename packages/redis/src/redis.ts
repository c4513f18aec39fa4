import { type RedisBroker, RedisBus } from './broker.ts';
import { type RedisOptions, settings } from './options.ts';

/**
 * A broker on Redis 7.0 or later, or Valkey: Streams for what is stored, Pub/Sub for what is not.
 *
 * @throws {ConfigError} naming the option or variable, its value and what is allowed
 */
export function redis(options: RedisOptions = {}): RedisBroker {
  return new RedisBus(settings(options, process.env));
}
