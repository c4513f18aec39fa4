import { type BrokerHost, ConfigError } from '@ambus/core';
import type { Redis } from 'ioredis';
import { type Client, isCluster } from './driver/dial.ts';

/** Needed for the lag of groups, and the only ones that are tested. */
const OLDEST = 7;

/** Looks at each server once, as far as the account may: whether it is new enough, and keeps what it is given. */
export class Inspector {
  /** What may wait for a listener, as the server says it: bytes, and bytes for some seconds. */
  pubsubLimit: string | undefined;
  readonly #host: BrokerHost;
  readonly #asked = new WeakSet<Redis>();
  readonly #warned = new Set<string>();

  constructor(host: BrokerHost) {
    this.#host = host;
  }

  /** Rejects where a server cannot be used. Masters that a cluster gets later are looked at as they come. */
  async watch(client: Client): Promise<void> {
    if (isCluster(client)) client.on('refresh', () => void this.#look(client).catch(() => {}));
    await this.#look(client);
  }

  async #look(client: Client): Promise<void> {
    const nodes = isCluster(client)
      ? client.nodes('master').filter(({ status }) => status === 'ready')
      : [client];
    const fresh = nodes.filter((node) => !this.#asked.has(node));
    for (const node of fresh) this.#asked.add(node);
    const policies = await Promise.all(fresh.map((node) => this.#ask(node, isCluster(client))));
    const wrong = policies.filter((policy) => policy !== undefined && !this.#warned.has(policy));
    if (wrong.length === 0) return;
    for (const policy of wrong) this.#warned.add(policy!);
    this.#host.warning(
      `the server's maxmemory-policy is ${wrong.join(', ')}: when its memory is full it drops topics, groups and messages that wait; set it to "noeviction"`,
      { policies: wrong },
    );
  }

  /** A policy that is wrong, and where. */
  async #ask(node: Redis, isNode: boolean): Promise<string | undefined> {
    const { remoteAddress, remotePort } = node.stream;
    const place = node.options.path ?? `${remoteAddress}:${remotePort}`;
    const info = await node.info('server', 'memory').catch(() => '');
    const limits = await setting(node, 'client-output-buffer-limit');
    this.pubsubLimit ??= /pubsub (\d+ \d+ \d+)/.exec(limits ?? '')?.[1];
    if (!info) return undefined;
    const version = /^redis_version:(\d+)(\S*)/m.exec(info);
    if (version !== null && Number(version[1]) < OLDEST) {
      throw new ConfigError(
        `the server is Redis ${version[1]}${version[2]}, at least ${OLDEST}.0 is needed`,
        {
          broker: 'redis',
        },
      );
    }
    if (!isNode && /^(?:redis|server)_mode:cluster/m.test(info)) {
      throw new ConfigError(
        'the server is a node of a cluster: give redis+cluster://host:port (rediss+cluster:// with TLS) or the option "cluster"',
        { broker: 'redis' },
      );
    }
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? (await setting(node, 'maxmemory-policy'));
    if (policy === undefined || policy === 'noeviction') return undefined;
    return `"${policy}" at ${place}`;
  }
}

async function setting(node: Redis, name: string): Promise<string | undefined> {
  const found = (await node.config('GET', name).catch(() => [])) as string[];
  return found[1];
}
