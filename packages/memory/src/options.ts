import { type Clock, ConfigError } from '@ambus/core';
import { isHub, type MemoryHub } from './hub/hub.ts';
import { namedHub } from './hub/registry.ts';
import type { Latency } from './link/wire.ts';
import { atLeast, checkClock, checkName, positive, refuse, refuseUnknown, whole } from './validate.ts';

/** Options of `memory()`. A value that is not allowed is refused with a `ConfigError` that names it. */
export interface MemoryOptions {
  /**
   * Where the messages live: buses on the same hub talk to each other. A name stands for one hub in the whole process,
   * which keeps its state until the process ends; a `MemoryHub` is one's own. Default `'default'`.
   */
  readonly hub?: string | MemoryHub | undefined;
  /** `memory://name` says the same as `hub: 'name'`, and `memory://` the same as nothing. */
  readonly url?: string | undefined;
  /**
   * Milliseconds, 0 or more, that each publish, settlement and delivery takes; with a range each takes its own. Default 0:
   * nothing waits.
   */
  readonly latency?: number | Latency | undefined;
  /**
   * Share of the publish calls, 0 to 1, that fail with a retryable `ConnectionError` and take no effect. Default 0.
   */
  readonly failureRate?: number | undefined;
  /**
   * Records, at least 1, that may wait in one queue (a group's, a private subscription's) beyond what its members have
   * room for; then a publish that would add to it finds it full. Default `Infinity`.
   */
  readonly maxQueueSize?: number | undefined;
  /**
   * `wait`: a publish waits for room, up to its deadline. `fail`: it is refused with a `QueueFullError`. Default `wait`.
   */
  readonly whenFull?: 'wait' | 'fail' | undefined;
  /** Bytes, at least 1, of the largest body. Default 8 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** Milliseconds, above 0, after which what a dead bus had goes to others. Default the hub's, which is 30,000. */
  readonly lease?: number | undefined;
  /**
   * The hub's time. Default: the clock of the hub if that exists, else the machine's. A hub has one clock, so another
   * than that of an existing hub is refused.
   */
  readonly clock?: Clock | undefined;
}

/** The options, checked and with defaults. */
export interface Settings {
  readonly hub: MemoryHub;
  readonly latency: Latency | undefined;
  readonly failureRate: number;
  readonly maxQueueSize: number;
  readonly whenFull: 'wait' | 'fail';
  readonly maxMessageBytes: number;
  readonly lease: number;
}

const KNOWN = [
  'hub',
  'url',
  'latency',
  'failureRate',
  'maxQueueSize',
  'whenFull',
  'maxMessageBytes',
  'lease',
  'clock',
];

/** @throws {ConfigError} naming the option, its value and what is allowed */
export function settings(options: MemoryOptions): Settings {
  refuseUnknown('memory', options, KNOWN);
  const { failureRate = 0, maxQueueSize = Number.POSITIVE_INFINITY, whenFull = 'wait' } = options;
  const { maxMessageBytes = 8 * 1024 * 1024 } = options;
  if (!atLeast(0, failureRate) || failureRate > 1) refuse('failureRate', failureRate, 'a number from 0 to 1');
  if (maxQueueSize !== Number.POSITIVE_INFINITY && !whole(maxQueueSize)) {
    refuse('maxQueueSize', maxQueueSize, 'a whole number from 1, or Infinity');
  }
  if (whenFull !== 'wait' && whenFull !== 'fail') refuse('whenFull', whenFull, '"wait" or "fail"');
  if (!whole(maxMessageBytes)) refuse('maxMessageBytes', maxMessageBytes, 'a whole number from 1');
  if (options.lease !== undefined && !positive(options.lease)) {
    refuse('lease', options.lease, 'a number above 0');
  }
  const latency = latencyOf(options.latency === undefined ? 0 : options.latency);
  const hub = hubOf(options);
  return {
    hub,
    latency,
    failureRate,
    maxQueueSize,
    whenFull,
    maxMessageBytes,
    lease: options.lease ?? hub.lease,
  };
}

function latencyOf(value: number | Latency): Latency | undefined {
  const { min, max } = typeof value === 'number' ? { min: value, max: value } : (value ?? {});
  if (!atLeast(0, min) || !atLeast(min, max)) {
    refuse('latency', value, 'a number from 0, or { min, max } with 0 <= min <= max');
  }
  return max === 0 ? undefined : { min, max };
}

function hubOf({ hub, url, clock }: MemoryOptions): MemoryHub {
  checkClock(clock);
  const named = url === undefined ? undefined : nameOf(url);
  if (hub !== undefined && typeof hub !== 'string' && !isHub(hub)) {
    refuse('hub', hub, 'a name or a MemoryHub');
  }
  if (typeof hub === 'string') checkName('hub', hub);
  const name = typeof hub === 'string' ? hub : hub?.name;
  if (named !== undefined && name !== undefined && named !== name) {
    throw new ConfigError(
      `memory: url names the hub "${named}" and option "hub" is "${name}": give one of them`,
      {
        broker: 'memory',
      },
    );
  }
  const found = typeof hub === 'object' ? hub : namedHub(name ?? named ?? 'default', clock);
  if (clock !== undefined && found.clock !== clock) {
    throw new ConfigError(`memory: hub "${found.name}" has another clock than option "clock"`, {
      broker: 'memory',
    });
  }
  return found;
}

function nameOf(url: unknown): string | undefined {
  const name = typeof url === 'string' ? /^memory:\/\/([A-Za-z0-9_-]{0,64})\/?$/.exec(url)?.[1] : undefined;
  if (name === undefined)
    refuse('url', withoutSecrets(url), 'memory://, or memory://name of letters, digits, "_", "-"');
  return name === '' ? undefined : name;
}

/** Another broker's url, given by mistake, may hold a password. */
function withoutSecrets(url: unknown): unknown {
  return typeof url === 'string' ? url.replace(/\/\/.*@/, '//***@') : url;
}
