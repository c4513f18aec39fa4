import { ConfigError } from '@ambus/core';
import type { Link } from '../link/link.ts';

export const NANOSECONDS = 1_000_000;

/** What JetStream knows of a stream, as far as it matters here. */
export interface StreamConfig {
  readonly subjects?: readonly string[] | null;
  readonly retention?: string;
  readonly storage?: string;
  readonly num_replicas?: number;
  readonly max_msgs?: number;
  readonly max_bytes?: number;
  readonly max_msgs_per_subject?: number;
  /** Nanoseconds. */
  readonly max_age?: number;
  /** Nanoseconds. */
  readonly duplicate_window?: number;
  readonly no_ack?: boolean;
  readonly sealed?: boolean;
  readonly deny_delete?: boolean;
  readonly deny_purge?: boolean;
  readonly allow_rollup_hdrs?: boolean;
  readonly allow_msg_ttl?: boolean;
  readonly allow_msg_schedules?: boolean;
}

/** What a stream needs beside its subjects. */
type Abilities = Pick<StreamConfig, 'allow_rollup_hdrs' | 'allow_msg_ttl' | 'allow_msg_schedules'>;

const abilities = (schedules: boolean): Abilities => ({
  allow_rollup_hdrs: true,
  allow_msg_ttl: true,
  ...(schedules ? { allow_msg_schedules: true } : {}),
});

/** Whether what the options ask for removes records that the bus itself still needs, so that those lie elsewhere. */
export function needsCompanion({ settings }: Link): boolean {
  const { retention = 'limits', maxAge, maxBytes, maxMessages } = settings.stream;
  return (
    retention !== 'limits' || maxAge !== undefined || maxBytes !== undefined || maxMessages !== undefined
  );
}

/** Which of a stream's own rules removes messages, settled or not. */
function removes(config: StreamConfig): string | undefined {
  if (config.retention !== undefined && config.retention !== 'limits') return `retention ${config.retention}`;
  if ((config.max_age ?? 0) > 0) return 'max_age';
  if ((config.max_msgs ?? -1) > 0) return 'max_msgs';
  if ((config.max_msgs_per_subject ?? -1) > 0) return 'max_msgs_per_subject';
  return (config.max_bytes ?? -1) > 0 ? 'max_bytes' : undefined;
}

/** Which of a stream's rules forbids what the bus does; one that may make nothing also removes nothing. */
function forbids({ host }: Link, config: StreamConfig): string | undefined {
  const always = ['no_ack', 'sealed'] as const;
  const all = host.provision === 'none' ? always : ([...always, 'deny_delete', 'deny_purge'] as const);
  return all.find((name) => config[name] === true);
}

/** Where the stream is not what the options ask for: they are read when it is made, and changing it is the operator's. */
export function differences(link: Link, config: StreamConfig): string[] {
  const { name: _, ...wanted } = link.settings.stream;
  const { retention, storage, num_replicas: replicas, max_msgs: maxMessages, max_bytes: maxBytes } = config;
  const maxAge = (config.max_age ?? 0) / NANOSECONDS;
  const has: Record<string, unknown> = { retention, storage, replicas, maxMessages, maxBytes, maxAge };
  return Object.entries(wanted)
    .filter(([name, value]) => value !== undefined && has[name] !== value)
    .map(([name, value]) => `${name} is ${has[name]} instead of ${value}`);
}

/** The stream of the application's messages, as it is made. */
export function dataConfig(
  link: Link,
  name: string,
  subjects: readonly string[],
  schedules: boolean,
): object {
  const { stream } = link.settings;
  return {
    ...common(link, name, subjects),
    retention: stream.retention ?? 'limits',
    max_msgs: stream.maxMessages ?? -1,
    max_bytes: stream.maxBytes ?? -1,
    max_age: (stream.maxAge ?? 0) * NANOSECONDS,
    duplicate_window: windowOf(link, stream.maxAge) * NANOSECONDS,
    ...abilities(schedules),
  };
}

/** The stream of the bus's own records, where that of the messages would remove them. */
export function companionConfig(link: Link, name: string, subjects: readonly string[]): object {
  return {
    ...common(link, name, subjects),
    retention: 'limits',
    duplicate_window: windowOf(link) * NANOSECONDS,
    ...abilities(false),
  };
}

const common = ({ settings: { stream } }: Link, name: string, subjects: readonly string[]): object => ({
  name,
  description: 'made by ambus',
  subjects,
  storage: stream.storage ?? 'file',
  num_replicas: stream.replicas ?? 1,
  discard: 'old',
  allow_direct: true,
});

/**
 * Milliseconds that a stream is to remember deduplication keys; the server allows no more than the age of its messages.
 *
 * @param maxAge - milliseconds
 */
function windowOf({ host }: Link, maxAge: number = Number.POSITIVE_INFINITY): number {
  return Math.min(Math.max(host.deduplicationWindow, 100), maxAge);
}

/** What is to be changed of a stream so that it does for this bus; undefined when nothing is. */
export function improvements(link: Link, config: StreamConfig, schedules: boolean): object | undefined {
  const { max_age = 0, duplicate_window = 0 } = config;
  const wanted = windowOf(link, max_age > 0 ? max_age / NANOSECONDS : undefined) * NANOSECONDS;
  const able = abilities(schedules) as Record<string, boolean>;
  const now = config as Record<string, unknown>;
  const lacks = Object.keys(able).some((name) => now[name] !== true);
  if (!lacks && wanted <= duplicate_window) return undefined;
  return { ...able, duplicate_window: Math.max(wanted, duplicate_window) };
}

/** @throws {ConfigError} when a stream of this configuration would lose what it is to hold, or does not let the bus work */
export function checkConfig(
  link: Link,
  name: string,
  config: StreamConfig,
  holdsOwn: boolean,
  own: string,
): void {
  const refuse = (problem: string): never => {
    throw new ConfigError(`nats: stream "${name}" ${problem}`, { broker: 'nats' });
  };
  const forbidding = forbids(link, config);
  if (forbidding !== undefined) refuse(`has ${forbidding}, which forbids what the bus needs`);
  const removing = removes(config);
  if (holdsOwn && removing !== undefined) {
    refuse(
      `has ${removing}, which removes what the bus still needs in it: take the subjects ending in ".s.>" and ".m.>" from it, and the bus keeps them in a stream "${own}"`,
    );
  }
  if (holdsOwn && config.allow_rollup_hdrs !== true) refuse('needs allow_rollup_hdrs');
  if ((config.max_age ?? 0) > 0 && config.allow_msg_ttl !== true) {
    refuse('has max_age and needs allow_msg_ttl, so that it keeps dead letters');
  }
}

/** The subjects of `wanted` that no subject of the stream covers. */
export function uncovered(config: StreamConfig, wanted: readonly string[]): readonly string[] {
  return wanted.filter((subject) => !(config.subjects ?? []).some((one) => covers(one, subject)));
}

/** Whether a subject with wildcards takes all that another one does. */
export function covers(wide: string, narrow: string): boolean {
  const [has, wants] = [wide.split('.'), narrow.split('.')];
  for (const [at, token] of has.entries()) {
    if (token === '>') return wants.length > at;
    const wanted = wants[at];
    if (wanted === undefined || wanted === '>') return false;
    if (token !== '*' && token !== wanted) return false;
  }
  return has.length === wants.length;
}
