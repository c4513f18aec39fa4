import { randomUUID } from 'node:crypto';
import {
  type Broker,
  type BrokerHost,
  type BrokerSubscription,
  type BusRecord,
  type Capabilities,
  compilePattern,
  type Inbox,
  type Sink,
  type Source,
  UnsupportedError,
} from '@ambus/core';
import { type Member, Queue } from './queue.ts';

// #region capabilities
const capabilities: Capabilities = Object.freeze({
  durable: 'native',
  ephemeral: 'native',
  wildcards: 'native',
  retryDelay: 'native',
  replay: 'none',
  replayFromDate: 'none',
  delay: 'none',
  cancel: 'none',
  priority: 'none',
  keyOrder: 'none',
  deduplication: 'none',
  transactions: 'none',
  expiry: 'none',
  request: 'none',
  noResponders: 'none',
  leases: 'none',
  browse: 'none',
  admin: 'none',
  limits: Object.freeze({
    maxBodyBytes: 1_048_576,
    maxHeaderBytes: 65_536,
    maxNativeDelay: 0,
    maxBatch: 1_000,
    lease: 0,
  }),
});
// #endregion capabilities

/** The "server": what is waiting, by who waits for it. It outlives the brokers that are connected to it. */
export class ToyServer {
  readonly #spaces = new Map<string, Map<string, Waiting>>();

  /** Buses of different prefixes do not see each other. */
  space(prefix: string): Map<string, Waiting> {
    const space = this.#spaces.get(prefix) ?? new Map<string, Waiting>();
    this.#spaces.set(prefix, space);
    return space;
  }
}

interface Waiting {
  readonly accepts: (record: BusRecord) => boolean;
  readonly queue: Queue;
}

/** A broker that keeps everything in this process, and does as little as the contract allows. */
export function toy(server: ToyServer = new ToyServer()): Broker {
  let host: BrokerHost;

  // #region publish
  async function publish(records: readonly BusRecord[]): Promise<void> {
    for (const record of records) {
      for (const { accepts, queue } of server.space(host.prefix).values()) {
        if (accepts(record)) queue.add(record);
      }
    }
  }
  // #endregion publish

  // #region subscribe
  async function subscribe(source: Source, sink: Sink): Promise<BrokerSubscription> {
    const { pattern, channel, group, prefetch, room = prefetch } = source;
    const space = server.space(host.prefix);
    const name = JSON.stringify([channel, pattern, group ?? randomUUID()]); // without a group: of its own
    const matches = compilePattern(pattern);
    const { queue } = space.get(name) ?? { queue: new Queue() };
    space.set(name, { queue, accepts: (record) => record.channel === channel && matches(record.topic) });

    const member: Member = {
      source,
      sink,
      unsettled: new Set(),
      most: Math.min(prefetch, room),
      paused: false,
    };
    queue.members.push(member);
    queue.pump(); // what waited while no member was up
    return {
      ack: async (deliveries) => queue.ack(member, deliveries),
      nack: async (delivery, delay) => queue.nack(member, delivery, delay, host.clock),
      release: async (deliveries) => queue.release(member, deliveries),
      pause: async () => {
        member.paused = true;
      },
      resume: (more = prefetch) => {
        member.most = Math.min(prefetch, member.unsettled.size + more);
        member.paused = false;
        queue.pump();
      },
      close: async () => {
        queue.leave(member);
        const stays = group !== undefined && channel === 'durable'; // the position outlives its members
        if (!stays && queue.members.length === 0) space.delete(name);
      },
    };
  }
  // #endregion subscribe

  return {
    name: 'toy',
    capabilities,
    connect: async (given) => {
      host = given;
    },
    publish,
    subscribe,
    openInbox: (): Promise<Inbox> => Promise.reject(new UnsupportedError('toy does not offer request')),
    native: () => server,
    close: async () => {},
  };
}
