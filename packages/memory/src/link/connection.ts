import {
  type BrokerHost,
  type BusError,
  type BusRecord,
  ClosedError,
  ConnectionError,
  type PublishFailure,
  TimeoutError,
  type Timer,
} from '@ambus/core';
import type { Member, MemberLink } from '../group/member.ts';
import type { InboxQueue } from '../hub/inbox.ts';
import { fail, join, leave } from '../hub/membership.ts';
import type { Origin } from '../hub/origin.ts';
import type { Peer, Server } from '../hub/server.ts';
import type { Space } from '../hub/space.ts';
import type { Settings } from '../options.ts';
import type { Entry } from '../queue/entry.ts';
import { Backlog } from './backlog.ts';
import { type Call, PublishCall, publishError, Request } from './call.ts';
import { Wire } from './wire.ts';

const ACCEPTED: Promise<void> = Promise.resolve();

/** One bus's connection to the server: up, cut for a while, or ended. */
export class Connection implements Peer, MemberLink {
  readonly busId: string;
  readonly server: Server;
  readonly space: Space;
  readonly origin: Origin;
  readonly members: Set<Member> = new Set();
  readonly inboxes: Set<InboxQueue> = new Set();
  up = true;
  readonly inbound: Wire | undefined;
  readonly #outbound: Wire | undefined;
  readonly #host: BrokerHost;
  readonly #settings: Settings;
  readonly #backlog: Backlog;
  /** Whether a publish needs nothing but to be stored. */
  readonly #plain: boolean;
  /** Calls on the slow wire, in order. */
  #sent: Call[] = [];
  /** Calls that wait for the connection to come back, in order. */
  #held: Call[] = [];
  #ended: BusError | undefined;
  /** Until the leases of a bus that is cut off or dead run out. */
  #leaseTimer: Timer | undefined;
  readonly #lost = new Map<Member, Entry[]>();

  constructor(server: Server, host: BrokerHost, settings: Settings) {
    this.busId = host.busId;
    this.server = server;
    this.space = server.space(host.prefix);
    this.origin = {
      create: host.provision === 'create',
      maxMessageBytes: settings.maxMessageBytes,
      maxQueueSize: settings.maxQueueSize,
      deduplicationWindow: host.deduplicationWindow,
      retention: (topic) => host.topic(topic).retention,
    };
    this.#host = host;
    this.#settings = settings;
    this.#backlog = new Backlog((record) => this.#accept(record), settings.whenFull);
    const { latency } = settings;
    this.inbound = latency && new Wire(server.clock, latency);
    this.#outbound = latency && new Wire(server.clock, latency);
    this.#plain =
      latency === undefined &&
      settings.failureRate === 0 &&
      settings.maxQueueSize === Number.POSITIVE_INFINITY;
    server.peers.add(this);
  }

  publish(records: readonly BusRecord[], deadline: number): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (records.length === 0) return ACCEPTED;
    const now = this.server.now();
    if (now >= deadline) {
      return Promise.reject(
        new TimeoutError('the deadline of this publish has passed', { broker: 'memory' }),
      );
    }
    if (this.#plain && this.up) return this.#storeAll(records, now);
    const call = new PublishCall(
      records,
      deadline,
      this.server.clock,
      (arrived) => this.#store(arrived),
      () => this.roomMade(),
    );
    this.#send(call);
    return call.promise;
  }

  /** Asks the server for something, once the connection is there. */
  request<T>(effect: () => T): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const request = new Request(effect);
    if (this.up) request.run();
    else this.#held.push(request);
    return request.promise;
  }

  /** Like `request`, and takes as long as the simulated latency says. */
  settle<T>(effect: () => T): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const request = new Request(effect);
    this.#send(request);
    return request.promise;
  }

  disconnect(): void {
    if (!this.up) return;
    this.#cut();
    for (const member of this.members) {
      if (member.source.channel === 'durable') member.group?.suspend(member);
      else leave(this.space, member);
    }
    this.#startLease();
    this.#host.disconnected(new ConnectionError('the connection to the hub was cut', { broker: 'memory' }));
  }

  reconnect(): void {
    if (this.up || this.#ended !== undefined) return;
    this.up = true;
    this.server.clock.clearTimeout(this.#leaseTimer);
    this.#leaseTimer = undefined;
    for (const [member, entries] of this.#lost) member.sink.lost(entries);
    this.#lost.clear();
    this.#restore();
    for (const member of this.members) member.group?.admit(member);
    this.#host.reconnected();
    for (const call of this.#held.splice(0)) this.#send(call);
  }

  wiped(): void {
    if (this.up) this.#restore();
  }

  roomMade(): void {
    this.#backlog.retry();
    this.server.awaitRoom(this, !this.#backlog.empty);
  }

  /** The process is dead: what it has waits for the end of its leases. */
  crash(): void {
    this.#end(new ConnectionError('this bus was crashed', { broker: 'memory', retryable: false }));
    for (const member of this.members) {
      if (member.group?.durable) member.group.suspend(member);
      else leave(this.space, member);
    }
    this.#startLease();
  }

  close(): void {
    if (this.#ended !== undefined) return;
    this.#end(new ClosedError('the broker is closed', { broker: 'memory' }));
    // Cut off, it cannot take its leave.
    if (this.#leaseTimer === undefined) this.#leaveAll();
  }

  #storeAll(records: readonly BusRecord[], now: number): Promise<void> {
    let failures: PublishFailure[] | undefined;
    for (let index = 0; index < records.length; index++) {
      const refusal = this.space.accept(records[index]!, this.origin, now);
      if (refusal === undefined) continue;
      failures ??= [];
      failures.push({ index, error: refusal as BusError });
    }
    return failures === undefined ? ACCEPTED : Promise.reject(publishError(failures, records.length));
  }

  #accept(record: BusRecord): ReturnType<Space['accept']> {
    return this.space.accept(record, this.origin, this.server.now());
  }

  #store(call: PublishCall): void {
    if (Math.random() < this.#settings.failureRate) {
      call.fail(new ConnectionError('a simulated failure of the connection', { broker: 'memory' }));
      return;
    }
    this.#backlog.add(call);
    this.server.awaitRoom(this, !this.#backlog.empty);
  }

  #send(call: Call): void {
    if (!this.up) {
      this.#held.push(call);
    } else if (this.#outbound === undefined) {
      call.run();
    } else {
      this.#sent.push(call);
      this.#outbound.send(() => this.#sent.shift()!.run());
    }
  }

  #cut(): void {
    this.up = false;
    this.inbound?.cut();
    this.#outbound?.cut();
    this.#held.push(...this.#sent.splice(0));
  }

  #end(error: BusError): void {
    this.#ended = error;
    this.#cut();
    for (const call of this.#held.splice(0)) call.fail(error);
    this.#backlog.fail(error);
    for (const inbox of this.inboxes) this.server.inboxes.close(inbox);
    this.server.awaitRoom(this, false);
    this.server.peers.delete(this);
  }

  #startLease(): void {
    this.#leaseTimer ??= this.server.clock.setTimeout(() => this.#lapse(), this.#settings.lease);
  }

  #lapse(): void {
    this.#leaseTimer = undefined;
    if (this.#ended !== undefined) {
      this.#leaveAll();
      return;
    }
    for (const member of this.members) {
      if (member.group?.durable) this.#lost.set(member, member.group.lapse(member));
    }
  }

  #leaveAll(): void {
    for (const member of this.members) leave(this.space, member);
    this.members.clear();
  }

  /** Brings back the subscriptions that the server does not know (any more). */
  #restore(): void {
    let forgotten = 0;
    for (const member of this.members) {
      if (member.group !== undefined || member.ended) continue;
      if (member.source.channel === 'durable') forgotten++;
      try {
        join(this.space, member, 'new', this.origin);
      } catch (error) {
        fail(member, error as BusError);
      }
    }
    if (forgotten > 0) {
      this.#host.warning('the server has lost its state; subscriptions start anew', {
        subscriptions: forgotten,
      });
    }
  }
}
