import type { Link } from '../link/link.ts';
import type { GroupLoan } from './class-flow.ts';
import { ACK, type Settlement, sendSettlements } from './settle.ts';

/** Milliseconds for which a killed server may forget what it has confirmed: it writes acks down a little later. */
const FORGETS = 3_000;
/** Milliseconds until a break is noticed, where the server's host has gone without a word. */
const UNNOTICED = 12_000;
/** Acks that are kept at most. */
const KEPT = 5_000;

/** What was acked last. Said again after a break, it spares what a killed server forgot from being handled twice. */
export class RecentAcks {
  readonly #batches: { readonly at: number; readonly acks: readonly Settlement[] }[] = [];
  #count = 0;

  add(loans: readonly GroupLoan[]): void {
    const now = Date.now();
    // Not the loans themselves: their bodies would stay in memory.
    const acks = loans.map(({ reply, origin }) => ({ reply, origin }));
    this.#batches.push({ at: now, acks });
    this.#count += loans.length;
    let old = 0;
    for (const { at, acks: some } of this.#batches) {
      if (now - at <= FORGETS && this.#count <= KEPT) break;
      this.#count -= some.length;
      old++;
    }
    if (old > 0) this.#batches.splice(0, old);
  }

  /** The connection broke: what was confirmed long before is written down. */
  forgetOld(now: number): void {
    while (this.#batches.length > 0 && now - this.#batches[0]!.at > FORGETS + UNNOTICED) {
      this.#count -= this.#batches.shift()!.acks.length;
    }
  }

  sendAgain(link: Link): void {
    const settlements = this.#batches.flatMap(({ acks }) => acks);
    sendSettlements(link, settlements, ACK).catch(() => {});
  }
}
