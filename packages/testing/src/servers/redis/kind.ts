import type { Kind } from '../kind.ts';
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
    const { hostname: host, port, username, password, protocol } = new URL(url);
    const address: RedisAddress = {
      host,
      port: Number(port || 6379),
      tls: protocol === 'rediss:',
      credentials: {
        ...(username && { user: decodeURIComponent(username) }),
        ...(password && { password: decodeURIComponent(password) }),
      },
    };
    return {
      url,
      host,
      port: address.port,
      credentials: address.credentials,
      version: async () => versionOf((await redisCommands(address, [['INFO', 'server']]))[0]),
      async wipe() {
        await redisCommands(address, [['FLUSHALL']]);
      },
    };
  },
};
