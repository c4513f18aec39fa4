import type { Kind } from '../kind.ts';
import { serverUrl } from '../server-url.ts';
import { nativeRedis } from './native.ts';
import { checkRedisOptions, type RedisServerOptions } from './options.ts';
import { planRedis, versionOf } from './plan.ts';
import { type RedisAddress, redisCommands } from './resp.ts';

const IMAGES = { 7: 'redis:7-alpine', 8: 'redis:8-alpine', valkey: 'valkey/valkey:9-alpine' };

export const redisKind: Kind<RedisServerOptions> = {
  name: 'redis',
  variable: 'AMB_REDIS_URL',
  check: checkRedisOptions,
  plan: planRedis,
  native: nativeRedis,
  // A cluster's nodes tell clients their addresses, which a container does not know.
  image: ({ version = '8', cluster, sentinels, replicas }) =>
    cluster || sentinels || replicas ? undefined : { name: IMAGES[version] },
  attach(url) {
    const { host, port, protocol, user, password } = serverUrl('AMB_REDIS_URL', url, {
      'redis:': 6379,
      'rediss:': 6379,
    });
    const address: RedisAddress = {
      host,
      port,
      tls: protocol === 'rediss:',
      credentials: { ...(user && { user }), ...(password && { password }) },
    };
    return {
      url,
      host,
      port,
      credentials: address.credentials,
      version: async () => versionOf((await redisCommands(address, [['INFO', 'server']]))[0]),
      async wipe() {
        await redisCommands(address, [['FLUSHALL']]);
      },
    };
  },
};
