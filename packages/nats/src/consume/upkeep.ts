import { ackWaitOf, type ConsumerInfo } from '../server/consumers.ts';
import { NANOSECONDS, type Space } from '../server/space.ts';
import type { ClassFlow, GroupLoan } from './class-flow.ts';
import type { Company } from './company.ts';
import { renewLeases } from './leases.ts';
import type { Turns } from './turns.ts';

/** Milliseconds between two looks whose turn each lane is. */
const SHARE_OUT = 400;

/** What is kept up for a member. */
export interface UpkeepOwner {
  readonly space: Space;
  readonly turns: Turns<GroupLoan>;
  readonly isPaused: boolean;
  lose(loans: readonly GroupLoan[]): void;
}

/** What a member does by the clock: renews its leases, and has the lanes that are its own. */
export class Upkeep {
  /** Milliseconds that the server waits for an ack. */
  ackWait: number;
  readonly #owner: UpkeepOwner;
  readonly #flows: ReadonlyMap<unknown, ClassFlow>;
  readonly #company: Company;
  #timer: NodeJS.Timeout | undefined;
  #shared = 0;
  #stopped = false;

  constructor(owner: UpkeepOwner, flows: ReadonlyMap<unknown, ClassFlow>, company: Company) {
    this.#owner = owner;
    this.#flows = flows;
    this.#company = company;
    this.ackWait = ackWaitOf(owner.space.link.settings.lease);
  }

  /** Takes the lease that the group has on the server. */
  use(info: ConsumerInfo | undefined): void {
    if (info?.config.ack_wait !== undefined) this.ackWait = info.config.ack_wait / NANOSECONDS;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.beat(), Math.max(Math.min(this.ackWait / 6, 500), 50));
    this.#timer.unref();
    this.beat();
  }

  beat(): void {
    const { space, turns } = this.#owner;
    const gone = renewLeases(space.link, this.#flows.values(), this.ackWait);
    if (gone.length > 0) {
      // Of a lane all comes again in its order, or what is behind would go first.
      for (const lane of new Set(gone.map(({ origin }) => origin.lane))) lane?.lose();
      const expired = new Set(gone);
      turns.extract((loan) => expired.has(loan));
      this.#owner.lose(gone);
    }
    const now = Date.now();
    if (now - this.#shared < SHARE_OUT) return;
    this.#shared = now;
    this.shareOut();
  }

  shareOut(): void {
    for (const flow of this.#flows.values()) if (flow.lane !== undefined) void this.#share(flow);
  }

  async #share(flow: ClassFlow): Promise<void> {
    if (this.#stopped) return;
    await flow.lane?.tick(!this.#owner.isPaused && this.#company.hasTurn(flow.recordClass));
    await flow.checkBlocked();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }
}
