import { type BrokerHost, ConfigError } from '@ambus/core';
import type { Redis } from 'ioredis';
import { type Client, isCluster } from './driver/dial.ts';

/** Needed for the lag of groups, and the only ones that are tested. */
const OLDEST = 7;

/** Looks at the server once, as far as the account may: whether it is new enough, and keeps what it is given. */
export async function inspectServer(client: Client, host: BrokerHost): Promise<void> {
  const node = isCluster(client) ? client.nodes('master')[0] : client;
  const info = await node?.info('server', 'memory').catch(() => '');
  if (!info) return;
  const version = /^redis_version:(\d+)(\S*)/m.exec(info);
  if (version !== null && Number(version[1]) < OLDEST) {
    throw new ConfigError(`the server is Redis ${version[1]}${version[2]}, at least ${OLDEST}.0 is needed`, {
      broker: 'redis',
    });
  }
  if (!isCluster(client) && /^(?:redis|server)_mode:cluster/m.test(info)) {
    throw new ConfigError(
      'the server is a node of a cluster: give redis+cluster://host:port (rediss+cluster:// with TLS) or the option "cluster"',
      { broker: 'redis' },
    );
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? (await policyOf(node!));
  if (policy !== undefined && policy !== 'noeviction') {
    host.warning(
      `the server's maxmemory-policy is "${policy}": when its memory is full it drops topics, groups and messages that wait; set it to "noeviction"`,
      { policy },
    );
  }
}

async function policyOf(node: Redis): Promise<string | undefined> {
  const found = (await node.config('GET', 'maxmemory-policy').catch(() => [])) as string[];
  return found[1];
}
