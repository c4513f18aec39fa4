import { type BusError, type BusRecord, type Clock, ConfigError, check, systemClock } from '@ambus/core';
import { complete, type RawRecord } from './foreign.ts';
import { FOREIGN } from './origin.ts';
import { type Peer, Server } from './server.ts';

/** Marks a hub, so that one made by another copy of this package is known. */
const MARKER = Symbol.for('ambus.memory.hub.1');

/** Milliseconds. Long enough for any pause of a process, short enough for somebody who waits. */
const DEFAULT_LEASE = 30_000;

/** Options of a `MemoryHub`. */
export interface MemoryHubOptions {
  /** 1 to 64 letters, digits, `_` or `-`, for errors. Default `'private'`. It does not make the hub findable by name. */
  readonly name?: string | undefined;
  /** The hub's time: of leases, delays, retention. Default the machine's. */
  readonly clock?: Clock | undefined;
  /** Milliseconds, above 0, after which what a dead bus had goes to others. Default 30,000. */
  readonly lease?: number | undefined;
}

export const nameCheck: check.Check = (value) =>
  typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value)
    ? undefined
    : '1 to 64 letters, digits, "_" or "-"';
export const clockCheck: check.Check = check.shaped('a clock', 'now', 'setTimeout', 'clearTimeout');
export const leaseCheck: check.Check = check.number(Number.MIN_VALUE, Number.MAX_SAFE_INTEGER);

const SPEC: check.Spec<MemoryHubOptions> = { name: nameCheck, clock: clockCheck, lease: leaseCheck };

/**
 * The server behind `memory()`: buses on the same hub talk to each other. Besides being talked to by buses it can be
 * looked into, and be made to fail the ways that servers fail.
 *
 * Topics are given as the buses name them; `prefix` is the buses' own option of that name, default `'ambus'`.
 */
export class MemoryHub {
  readonly name: string;
  readonly clock: Clock;
  /** Milliseconds; a bus may ask for another. */
  readonly lease: number;
  readonly #server: Server;

  /** @throws {ConfigError} naming the option, its value and what is allowed */
  constructor(options: MemoryHubOptions = {}) {
    check.checkOptions('MemoryHub option', options, SPEC, ConfigError);
    const { name = 'private', clock = systemClock, lease = DEFAULT_LEASE } = options;
    this.name = name;
    this.clock = clock;
    this.lease = lease;
    this.#server = new Server(clock);
    Object.defineProperty(this, MARKER, { value: true });
  }

  /** @internal What the buses of this hub are connected to. */
  get server(): Server {
    return this.#server;
  }

  /**
   * Publishes as a producer does that knows nothing of the bus: no serializer, no validation, no queue limit. A missing
   * `id` or `time` is filled in, `channel` is `durable` and `priority` 2 by default, all else stays as it is given.
   *
   * @returns the record as it is stored
   * @throws {NoRespondersError} for a `request` that nobody answers
   * @throws {ValidationError} naming a field without which no server would take it
   */
  publish(raw: RawRecord, prefix = 'ambus'): BusRecord {
    const server = this.#server;
    const now = server.now();
    const record = complete(raw, now);
    const refusal = server.space(prefix).accept(record, FOREIGN, now);
    if (refusal !== undefined) throw refusal as BusError;
    return record;
  }

  /** What lies stored of a durable topic, oldest first. Empty when there is no such topic. */
  records(topic: string, prefix = 'ambus'): readonly BusRecord[] {
    const server = this.#server;
    const found = server.space(prefix).topics.get(topic);
    if (found === undefined) return [];
    found.trim(server.now());
    return Array.from(found.log.records(), ({ record }) => record);
  }

  /**
   * Cuts a bus's connection, or those of all: its publishes and settlements wait, deliveries stop, its leases run out
   * after `lease`. Cutting twice is harmless.
   *
   * @throws {ConfigError} when no bus of this id is connected
   */
  disconnect(busId?: string): void {
    for (const peer of this.#peers(busId)) peer.disconnect();
  }

  /**
   * Lets cut connections come back.
   *
   * @throws {ConfigError} when no bus of this id is connected
   */
  reconnect(busId?: string): void {
    for (const peer of this.#peers(busId)) peer.reconnect();
  }

  /**
   * Kills a bus as if its process had died: it publishes and settles no more, its live subscriptions and its inbox are
   * gone, and after `lease` what it had goes to other members, with the attempt counted. The bus gets no word of it; its
   * calls are rejected.
   *
   * @throws {ConfigError} when no bus of this id is connected
   */
  crash(busId: string): void {
    for (const peer of this.#peers(busId)) peer.crash();
  }

  /**
   * Loses everything: topics, groups, records, delayed messages. Connected subscriptions go on with new groups, after one
   * warning to each bus; those that are cut do so when they are back.
   */
  wipe(): void {
    this.#server.wipe();
  }

  #peers(busId: string | undefined): Peer[] {
    const peers = [...this.#server.peers].filter((peer) => busId === undefined || peer.busId === busId);
    if (peers.length === 0 && busId !== undefined) {
      throw new ConfigError(`memory: no bus "${busId}" is connected to hub "${this.name}"`, {
        broker: 'memory',
      });
    }
    return peers;
  }
}

/** Whether `value` is a hub, of this copy of the package or another. */
export function isHub(value: unknown): value is MemoryHub {
  return typeof value === 'object' && value !== null && MARKER in value;
}
