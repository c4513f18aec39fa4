import type { GroupLoan } from './class-flow.ts';

/** Milliseconds that a lane waits for what was delivered before: of that, what somebody's lease still holds may take long. */
const GATHER = 500;

/** Records that may wait in this process behind others of their key, so that a slow key leaves the rest of its lane room. */
export const READ_AHEAD = 2_048;

/** What was delivered before, to whomever, and comes again in any order: nothing of its lane goes to core until it is here. */
export class Gathering {
  readonly loans: GroupLoan[];
  readonly #top: number;
  #missing: number;
  #most: number;
  #step = 1;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param loans - what came before the connection broke
   * @param top - the last record that was ever delivered
   * @param missing - records that are to come
   * @param isCertain - whether they are; otherwise some may wait for a retry at the server, which says only how many there are
   */
  constructor(loans: GroupLoan[], top: number, missing: number, isCertain: boolean, late: () => void) {
    this.loans = loans;
    this.#top = top;
    this.#missing = missing;
    this.#most = loans.length + (isCertain ? missing : this.#step);
    this.#timer = setTimeout(late, GATHER);
    this.#timer.unref();
  }

  /**
   * Records to be asked for. The server sends them before any other; in place of those that wait for a retry it would send as
   * many others, so that what is not certain is asked for a little, and then more as long as it comes.
   */
  get owed(): number {
    return Math.min(this.#missing, Math.min(this.#most, READ_AHEAD) - this.loans.length);
  }

  /** @returns whether nothing more is to be waited for */
  add(loan: GroupLoan, isMissing: boolean): boolean {
    this.loans.push(loan);
    if (isMissing) this.#missing--;
    if (this.loans.length >= this.#most) {
      this.#step *= 2;
      this.#most += this.#step;
      this.#timer.refresh();
    }
    // Behind one that was never delivered the server has none of them: what is missing is with somebody, or acked.
    return loan.seq > this.#top || this.#missing === 0 || this.loans.length >= READ_AHEAD;
  }

  /** @returns what came, in the order of the stream */
  end(): GroupLoan[] {
    clearTimeout(this.#timer);
    return this.loans.sort((a, b) => a.seq - b.seq);
  }
}
