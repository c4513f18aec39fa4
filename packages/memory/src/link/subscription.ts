import { type BrokerSubscription, type Delivery, UnsupportedError } from '@ambus/core';
import type { Member } from '../group/member.ts';
import { leave } from '../hub/membership.ts';
import type { Connection } from './connection.ts';

/** Core's handle of one member. */
export class MemorySubscription implements BrokerSubscription {
  readonly #connection: Connection;
  readonly #member: Member;

  constructor(connection: Connection, member: Member) {
    this.#connection = connection;
    this.#member = member;
  }

  ack(deliveries: readonly Delivery[]): Promise<readonly Delivery[]> {
    const member = this.#member;
    return this.#connection.settle(() => member.group?.ack(member, deliveries) ?? deliveries);
  }

  nack(delivery: Delivery, delay: number): Promise<readonly Delivery[]> {
    const member = this.#member;
    if (!this.#returns) return Promise.reject(cannotReturn('nack'));
    return this.#connection.settle(() => member.group?.nack(member, delivery, delay) ?? [delivery]);
  }

  release(deliveries: readonly Delivery[]): Promise<void> {
    const member = this.#member;
    if (!this.#returns) return Promise.reject(cannotReturn('release'));
    return this.#connection.settle(() => member.group?.release(member, deliveries));
  }

  async pause(): Promise<void> {
    this.#member.paused = true;
    this.#member.group?.suspend(this.#member);
  }

  resume(room?: number): void {
    this.#member.makeRoom(room);
    this.#member.paused = false;
    this.#member.group?.admit(this.#member);
  }

  async close(): Promise<void> {
    this.#member.ended = true;
    // The server hears nothing of a bus that is cut off or dead: it comes back, or its leases run out.
    if (this.#connection.up) this.#leave();
    else this.#connection.request(() => this.#leave()).catch(() => {});
  }

  #leave(): void {
    if (!this.#connection.members.delete(this.#member)) return;
    leave(this.#connection.space, this.#member);
  }

  get #returns(): boolean {
    const { group, channel } = this.#member.source;
    return group !== undefined && channel === 'durable';
  }
}

function cannotReturn(what: string): UnsupportedError {
  return new UnsupportedError(`${what} needs a group on a durable topic`, { broker: 'memory' });
}
