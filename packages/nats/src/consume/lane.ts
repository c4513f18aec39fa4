import { CODES, text } from '../server/api.ts';
import type { Space } from '../server/space.ts';

/** Keys, each with the number of a nacked record that nothing else of the key may pass. */
export type Blocked = readonly (readonly [key: string, seq: number])[];

/** What lies on the server for a lane. */
interface Lease {
  /** Empty when it is free. */
  readonly owner: string;
  readonly blocked: Blocked;
}

const FREE: Lease = { owner: '', blocked: [] };

/** What a lane does not know about its subscription. */
export interface LaneOwner {
  readonly id: string;
  /** Milliseconds that the server waits for an ack of what is delivered. */
  readonly ackWait: number;
  /** Whether it asks for nothing. */
  readonly isPaused: boolean;
  /** All of it that is unsettled. */
  readonly loans: { readonly size: number };
  /** Records that hold back the rest of their key until they are acked. */
  blocked(): Blocked;
  /**
   * It is this member's: it may ask for records.
   *
   * @param isBack - whether nobody has had it since this member had it last
   */
  taken(blocked: Blocked, isBack: boolean): void;
  /** Somebody else may have it by now. */
  lost(): void;
  /** Whether the server waits for acks of what was delivered, to whomever. */
  isHeld(): Promise<boolean>;
  /** Ends the flow and gives back what core does not have. True when core has none of it either. */
  drain(): Promise<boolean>;
  /** What was drained stays here after all. */
  undrained(): void;
}

/** Milliseconds that a lane stands still for a handover, before it goes on where it was, and until the next try. */
const DRAIN_PATIENCE = 2_000;
const DRAIN_AGAIN = 30_000;
/** Milliseconds beyond the lease, for what is on its way. */
const MARGIN = 250;

/**
 * A lane of keys belongs to one member at a time, by a lease on the server that each change must know the last of. A new
 * owner begins when nothing of the old one's is unsettled: told so by it, or after all of its leases have run out, so that
 * the server delivers them anew before what is behind them.
 */
export class Lane {
  readonly #space: Space;
  readonly #subject: string;
  readonly #owner: LaneOwner;
  isOwned = false;
  #seq = 0;
  #renewed = 0;
  #seen: { readonly seq: number; readonly since: number } | undefined;
  #busy = false;
  #drainingSince = 0;
  #notBefore = 0;
  /** What it had when it was lost may be unsettled until then. */
  #heldUntil = 0;

  constructor(space: Space, consumer: string, owner: LaneOwner) {
    this.#space = space;
    this.#subject = space.names.lane(consumer);
    this.#owner = owner;
  }

  /** Does what is due. */
  async tick(isWanted: boolean): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await this.#tick(isWanted);
    } catch {
      // The next tick tries again; a lease that runs out meanwhile is lost.
    } finally {
      this.#busy = false;
    }
  }

  async #tick(isWanted: boolean): Promise<void> {
    const now = Date.now();
    const { ackWait } = this.#owner;
    if (!this.isOwned) {
      if (isWanted && this.#space.link.canSend) await this.#take(now);
      return;
    }
    if (now - this.#renewed > ackWait) return this.lose();
    if (now - this.#renewed > ackWait / 3 && this.#space.link.canSend) {
      if (!(await this.#renew(now))) return;
    }
    if (isWanted) this.#stay();
    else if (this.#drainingSince !== 0 || this.#mayTry(now)) await this.#handOver(now);
  }

  /** Not again so soon where others of its keys would stand still for it. */
  #mayTry(now: number): boolean {
    const { isPaused, loans } = this.#owner;
    return now >= this.#notBefore || isPaused || loans.size === 0;
  }

  /** Writes down at once what blocks: whoever takes over must know. */
  async remember(): Promise<void> {
    while (this.#busy) await new Promise((resolve) => setTimeout(resolve, 1));
    if (!this.isOwned || !this.#space.link.canSend) return;
    this.#busy = true;
    try {
      await this.#renew(Date.now());
    } finally {
      this.#busy = false;
    }
  }

  async #renew(now: number): Promise<boolean> {
    const { id: owner } = this.#owner;
    const lease = { owner, blocked: this.#owner.blocked() };
    const seq = (await this.#write(lease, this.#seq)) ?? (await this.#writeAgain(lease));
    if (seq === undefined) {
      this.lose();
      return false;
    }
    this.#seq = seq;
    this.#renewed = now;
    return true;
  }

  /** What was written last may be its own, of which the answer was lost. */
  async #writeAgain(lease: Lease): Promise<number | undefined> {
    const { seq, lease: found } = await this.#read();
    return found.owner === lease.owner ? this.#write(lease, seq) : undefined;
  }

  /** What lies on the server; number 0 for nothing. */
  async #read(): Promise<{ readonly seq: number; readonly lease: Lease }> {
    const last = await this.#space.api.last(this.#space.own, this.#subject);
    return last === undefined ? { seq: 0, lease: FREE } : { seq: last.seq, lease: JSON.parse(text(last)) };
  }

  async #take(now: number): Promise<void> {
    const { ackWait, id } = this.#owner;
    // What is behind that would come first.
    if (now < this.#heldUntil && (await this.#owner.isHeld())) return;
    const last = await this.#read();
    const { lease } = last;
    if (lease.owner !== '' && lease.owner !== id) {
      if (this.#seen?.seq !== last.seq) this.#seen = { seq: last.seq, since: now };
      // It was renewed at a third of that for the last time, and the server has waited for its acks since.
      if (now - this.#seen!.since < (ackWait * 4) / 3 + MARGIN) return;
    }
    const seq = await this.#write({ owner: id, blocked: lease.blocked }, last.seq);
    if (seq === undefined) return;
    const isBack = last.seq !== 0 && last.seq === this.#seq;
    this.#seq = seq;
    this.#renewed = now;
    this.#seen = undefined;
    this.#drainingSince = 0;
    this.#notBefore = 0;
    this.isOwned = true;
    this.#owner.taken(lease.blocked, isBack);
  }

  /** @returns the number of what was written, undefined when somebody else was quicker */
  async #write(lease: Lease, after: number): Promise<number | undefined> {
    const headers = `Nats-Expected-Last-Subject-Sequence: ${after}\r\nNats-Rollup: sub\r\n`;
    const { value, failure } = await this.#space.api.store(this.#subject, JSON.stringify(lease), headers);
    if (failure === undefined) return value.seq;
    if (failure.err_code === CODES.wrongLastSequence) return undefined;
    // Also while another write is under way, which may fail: the next try will know.
    throw this.#space.link.broken();
  }

  async #handOver(now: number): Promise<void> {
    // While it is paused it stands still anyway.
    if (this.#drainingSince === 0 || this.#owner.isPaused) this.#drainingSince = now;
    if (await this.#owner.drain()) {
      await this.free();
    } else if (now - this.#drainingSince > DRAIN_PATIENCE) {
      // A slow handler must not stall the other keys of its lane.
      this.#notBefore = now + DRAIN_AGAIN;
      this.#stay();
    }
  }

  #stay(): void {
    if (this.#drainingSince === 0) return;
    this.#drainingSince = 0;
    this.#owner.undrained();
  }

  /** Nothing of it is unsettled any more: somebody else may begin. */
  async free(): Promise<void> {
    if (!this.isOwned) return;
    this.isOwned = false;
    this.#drainingSince = 0;
    const free = { owner: '', blocked: this.#owner.blocked() };
    this.#seq = (await this.#write(free, this.#seq).catch(() => undefined)) ?? 0;
  }

  /** What it has may be somebody else's, or comes again: nothing of it goes on before all of that is settled. */
  lose(): void {
    if (!this.isOwned) return;
    this.isOwned = false;
    this.#drainingSince = 0;
    this.#heldUntil = Date.now() + this.#owner.ackWait + MARGIN;
    this.#owner.lost();
  }
}
