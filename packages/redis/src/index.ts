export type { RedisBroker } from './broker.ts';
export type { RedisAddress, RedisOptions, RedisSentinel } from './options.ts';
export { redis } from './redis.ts';
export type { RedisMessage } from './wire/incoming.ts';
