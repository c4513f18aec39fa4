import type { Delivery } from '@ambus/core';
import { expect, it } from 'vitest';
import { MemoryHub } from '../src/index.ts';
import { connect, Probe, record, type TestBus } from './support/bus.ts';
import { ManualClock } from './support/clock.ts';

const LEASE = 1_000;
const PREFETCH = 4;
const SEEDS = Array.from({ length: 20 }, (_, seed) => seed + 1);

/** Numbers from 0 to 1 that are the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A member that checks what it is given against what all members of its group have. */
class Member extends Probe {
  readonly held: Set<Delivery> = new Set();
  readonly bus: TestBus;
  readonly #model: Model;

  constructor(bus: TestBus, model: Model) {
    super();
    this.bus = bus;
    this.#model = model;
  }

  override deliver(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      this.#model.delivered(this, delivery);
      this.held.add(delivery);
    }
    expect(this.held.size).toBeLessThanOrEqual(PREFETCH);
  }

  override lost(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.held.delete(delivery);
  }
}

/** What is known of the group from outside. */
class Model {
  /** Attempt that the next delivery of a record must have. */
  readonly attempts: Map<string, number> = new Map();
  readonly done: Set<string> = new Set();
  /** Who has a record or key, by the server's books. */
  readonly holders: Map<Delivery, Member> = new Map();
  readonly blocked: Map<string, string> = new Map();

  delivered(member: Member, delivery: Delivery): void {
    const { id, key } = delivery.record;
    expect(this.done).not.toContain(id);
    expect([id, delivery.attempt]).toEqual([id, this.attempts.get(id)]);
    for (const [other, holder] of this.holders) {
      expect(other.record.id).not.toBe(id);
      if (key === undefined || other.record.key !== key) continue;
      expect(holder).toBe(member);
    }
    if (key !== undefined && this.blocked.has(key)) expect(id).toBe(this.blocked.get(key));
    this.holders.set(delivery, member);
  }

  ended(delivery: Delivery, counted: boolean): void {
    this.holders.delete(delivery);
    if (counted) this.attempts.set(delivery.record.id, delivery.attempt + 1);
  }

  /** The leases of a member are over. */
  lapsed(member: Member): void {
    for (const [delivery, holder] of this.holders) if (holder === member) this.ended(delivery, true);
  }
}

it.each(SEEDS)('nothing is lost, doubled or out of turn, whatever happens (seed %i)', async (seed) => {
  const random = randomOf(seed);
  const pick = <T>(from: Iterable<T>): T | undefined => {
    const all = [...from];
    return all[Math.floor(random() * all.length)];
  };
  const clock = new ManualClock();
  const hub = new MemoryHub({ clock, lease: LEASE });
  const model = new Model();
  const order = seed % 2 === 0 ? 'block' : 'skip';
  const members = new Set<Member>();
  let published = 0;

  const join = async (): Promise<void> => {
    const member = new Member(await connect(hub), model);
    members.add(member);
    await member.bus.subscribe('t.#', { group: 'g', prefetch: PREFETCH, order }, member);
  };
  const nack = async (member: Member, delivery: Delivery, delay: number): Promise<void> => {
    const { key, id } = delivery.record;
    member.held.delete(delivery);
    model.ended(delivery, true);
    const others = [...member.held].filter((other) => other.record.key === key && key !== undefined);
    if (order === 'block' && key !== undefined) {
      model.blocked.set(key, id);
      for (const other of others) {
        member.held.delete(other);
        model.ended(other, false);
      }
      void member.subscription.nack(delivery, delay);
      await member.subscription.release(others);
    } else {
      await member.subscription.nack(delivery, delay);
    }
  };
  /** As core does it: of each key only the oldest is in a handler. */
  const handled = (member: Member): Delivery | undefined => {
    const keys = new Set<string>();
    return pick(
      [...member.held].filter(({ record: { key } }) => {
        if (key === undefined) return true;
        const first = !keys.has(key);
        keys.add(key);
        return first;
      }),
    );
  };
  const ack = async (member: Member, delivery: Delivery): Promise<void> => {
    const { id, key } = delivery.record;
    member.held.delete(delivery);
    model.ended(delivery, false);
    model.done.add(id);
    if (key !== undefined && model.blocked.get(key) === id) model.blocked.delete(key);
    expect(await member.subscription.ack([delivery])).toEqual([]);
  };

  await join();
  const publisher = await connect(hub);
  for (let step = 0; step < 400; step++) {
    const member = pick(members)!;
    const delivery = handled(member);
    const dice = random();
    if (dice < 0.2) {
      const records = Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
        const id = String(published++);
        model.attempts.set(id, 1);
        return record(`t.${id}`, {
          id,
          key: pick([undefined, 'a', 'b', 'c']),
          priority: pick([0, 1, 2, 3, 4] as const)!,
          deliverAt: random() < 0.2 ? clock.now() + random() * 3_000 : undefined,
        });
      });
      await publisher.publish(records);
    } else if (dice < 0.6 && delivery !== undefined) {
      await ack(member, delivery);
    } else if (dice < 0.7 && delivery !== undefined) {
      await nack(member, delivery, pick([0, 10, 500, 2_000])!);
    } else if (dice < 0.75) {
      await member.subscription.pause();
    } else if (dice < 0.85) {
      member.subscription.resume();
    } else if (dice < 0.89 && members.size < 5) {
      await join();
    } else if (dice < 0.92 && members.size > 1) {
      model.lapsed(member);
      members.delete(member);
      if (random() < 0.5) {
        await member.subscription.close();
      } else {
        hub.crash(member.bus.id);
        await clock.advance(LEASE);
      }
    } else if (dice < 0.95) {
      hub.disconnect(member.bus.id);
      const long = random() < 0.5;
      if (long) model.lapsed(member);
      await clock.advance(long ? LEASE : LEASE / 2);
      hub.reconnect(member.bus.id);
    }
    await clock.advance(random() * 50);
  }
  for (const { subscription } of members) subscription.resume();
  for (let round = 0; model.done.size < published && round < 5_000; round++) {
    await clock.advance(20);
    for (const member of members) {
      const delivery = handled(member);
      if (delivery !== undefined) await ack(member, delivery);
    }
  }
  expect(model.done.size).toBe(published);
  expect(await publisher.broker.admin.listGroups()).toMatchObject([{ depth: 0, inFlight: 0 }]);
});
