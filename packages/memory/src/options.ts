import { type Clock, ConfigError, check } from '@ambus/core';
import { clockCheck, isHub, leaseCheck, type MemoryHub, nameCheck } from './hub/hub.ts';
import { namedHub } from './hub/registry.ts';
import type { Latency } from './link/wire.ts';

const DEFAULT_HUB = 'default';

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

const { either, integer, number, oneOf } = check;

const endless = oneOf(Number.POSITIVE_INFINITY);
const isRange: check.Check = (value) => {
  const { min, max } = (value ?? {}) as Partial<Latency>;
  const isNumber = (one: unknown): one is number => typeof one === 'number' && Number.isFinite(one);
  return isNumber(min) && isNumber(max) && 0 <= min && min <= max
    ? undefined
    : '{ min, max } with 0 <= min <= max';
};

const SPEC: check.Spec<MemoryOptions> = {
  hub: either(nameCheck, (value) => (isHub(value) ? undefined : 'a MemoryHub')),
  url: (value) =>
    hubOfUrl(value) === undefined ? 'memory://, or memory://name of letters, digits, "_", "-"' : undefined,
  latency: either(number(0, Number.MAX_SAFE_INTEGER), isRange),
  failureRate: number(0, 1),
  maxQueueSize: either(integer(1), endless),
  whenFull: oneOf('wait', 'fail'),
  maxMessageBytes: integer(1),
  lease: leaseCheck,
  clock: clockCheck,
};

/** @throws {ConfigError} naming the option, its value and what is allowed */
export function settings(options: MemoryOptions): Settings {
  check.checkOptions('memory option', { ...options, url: withoutSecrets(options?.url) }, SPEC, ConfigError);
  const { latency = 0, maxQueueSize = Number.POSITIVE_INFINITY } = options;
  const hub = hubOf(options);
  return {
    hub,
    latency:
      latency === 0 ? undefined : typeof latency === 'number' ? { min: latency, max: latency } : latency,
    failureRate: options.failureRate ?? 0,
    maxQueueSize,
    whenFull: options.whenFull ?? 'wait',
    maxMessageBytes: options.maxMessageBytes ?? 8 * 1024 * 1024,
    lease: options.lease ?? hub.lease,
  };
}

function hubOf({ hub, url, clock: wanted }: MemoryOptions): MemoryHub {
  const named = url === undefined ? undefined : hubOfUrl(url);
  const name = typeof hub === 'string' ? hub : hub?.name;
  if (named !== undefined && name !== undefined && named !== name) {
    throw new ConfigError(
      `memory: url names the hub "${named}" and option "hub" is "${name}": give one of them`,
      {
        broker: 'memory',
      },
    );
  }
  const found = typeof hub === 'object' ? hub : namedHub(name ?? named ?? DEFAULT_HUB, wanted);
  if (wanted !== undefined && found.clock !== wanted) {
    throw new ConfigError(`memory: hub "${found.name}" has another clock than option "clock"`, {
      broker: 'memory',
    });
  }
  return found;
}

/** The name in `memory://name`, the default hub's for `memory://`; undefined for anything else. */
function hubOfUrl(url: unknown): string | undefined {
  const name = typeof url === 'string' ? /^memory:\/\/([A-Za-z0-9_-]{0,64})\/?$/.exec(url)?.[1] : undefined;
  return name === '' ? DEFAULT_HUB : name;
}

/** Another broker's url, given by mistake, may hold a password. */
function withoutSecrets(url: unknown): unknown {
  return typeof url === 'string' ? url.replace(/\/\/.*@/, '//***@') : url;
}
