import type { Entry } from './entry.ts';
import { MAX_METADATA } from './ledger.ts';
import type { Part } from './part.ts';

/** Retries of one partition that its account holds, where the next ones may wait in a topic of the group's own. */
export const MOST_WAITING = 48;
/** Characters that a retry takes in an account: until when it waits, and its attempt. */
const RETRY = 20;
/** Characters of a record that is handed out apart from the others, and is settled before those around it. */
const APART = 12;
/** The same of one right behind the last: many of these are told as bits. */
const NEXT = 0.5;
/** Characters that what lies below the last one handed out may take beyond the others: it is what makes an account shorter. */
const SPARE = 400;

/** Room in the account of a part: whatever comes of what core has of it, that has to fit. */
export class Room {
  readonly #part: Part;
  /** Whether all of its retries stay in the account. */
  readonly #stay: boolean;
  readonly #wake: () => void;
  #left = 0;
  #refused = false;

  constructor(part: Part, stay: boolean, wake: () => void) {
    this.#part = part;
    this.#stay = stay;
    this.#wake = wake;
    this.measure();
  }

  /** Takes room for a record that is to be handed out; false where there is none, until `measure` finds some. */
  take({ offset }: Entry): boolean {
    const { ledger, out } = this.#part;
    // It stands in the account already.
    if (ledger.due.has(offset)) return true;
    const known = ledger.count(offset) > 0;
    const behind = offset >= ledger.handed;
    const place = known ? 0 : offset === ledger.handed ? NEXT : APART;
    const cost = place + (this.#stay ? RETRY : 0);
    const fits = this.#left - cost >= (behind ? SPARE : 0);
    // Where nothing else could make it shorter, this may.
    const last = !behind && out.size === 0 && ledger.due.size === 0;
    if (!known && !fits && !last) {
      this.#refused = true;
      return false;
    }
    this.#left -= cost;
    return true;
  }

  /** To be called when the account has changed. */
  measure(): void {
    const { ledger, out } = this.#part;
    const away = out.size + ledger.loans.size;
    const waiting = ledger.due.size;
    const retries = this.#stay || waiting > MOST_WAITING ? waiting + away : MOST_WAITING;
    const before = this.#left;
    this.#left = MAX_METADATA - ledger.length - away * NEXT - retries * RETRY;
    if (!this.#refused || this.#left <= before) return;
    this.#refused = false;
    this.#wake();
  }
}
