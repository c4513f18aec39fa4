import { type BrokerHost, ConfigError } from '@ambus/core';
import type { Redis } from 'ioredis';
import { type Client, isCluster } from './driver/dial.ts';

/** Needed for the lag of groups, and the only ones that are tested. */
const OLDEST = 7;

/** What was found out, as far as the account may ask. */
export interface Inspected {
  /** What may wait for a listener, as the server says it: bytes, and bytes for some seconds. */
  readonly pubsubLimit: string | undefined;
}

/** Looks at the server once, as far as the account may: whether it is new enough, and keeps what it is given. */
export async function inspectServer(client: Client, host: BrokerHost): Promise<Inspected> {
  const node = isCluster(client) ? client.nodes('master')[0] : client;
  const info = await node?.info('server', 'memory').catch(() => '');
  const limits = node && (await setting(node, 'client-output-buffer-limit'));
  const inspected = { pubsubLimit: /pubsub (\d+ \d+ \d+)/.exec(limits ?? '')?.[1] };
  if (!info) return inspected;
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
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? (await setting(node!, 'maxmemory-policy'));
  if (policy !== undefined && policy !== 'noeviction') {
    host.warning(
      `the server's maxmemory-policy is "${policy}": when its memory is full it drops topics, groups and messages that wait; set it to "noeviction"`,
      { policy },
    );
  }
  return inspected;
}

async function setting(node: Redis, name: string): Promise<string | undefined> {
  const found = (await node.config('GET', name).catch(() => [])) as string[];
  return found[1];
}
