import type { ConsumerInfo } from '../server/consumers.ts';
import { placeOf } from '../wire/place.ts';
import type { Attempts } from './attempts.ts';
import type { ClassOwner, GroupLoan } from './class-flow.ts';
import { HELD } from './delivery.ts';
import type { Flow } from './flow.ts';
import { Gathering } from './gathering.ts';
import { Recall } from './recall.ts';

/** What was delivered before may be anywhere. */
const UNKNOWN = -1;

/**
 * Keeps a lane in the order of the stream after a broken connection or a change of its owner: what was delivered before is
 * called back where it was lost, and gathered before anything goes to core.
 */
export class Recovery {
  readonly #owner: ClassOwner;
  readonly #flow: Flow;
  /** All that is unsettled here. */
  readonly #loans: ReadonlySet<GroupLoan>;
  readonly #attempts: Attempts;
  readonly #recall: Recall;
  #gathering: Gathering | undefined;
  /** The last number that came. */
  #top = 0;
  /** The number up to which that is all that may come out of order; undefined when it is all that was ever delivered. */
  #gap: number | undefined = UNKNOWN;
  /** Deliveries of the consumer before it was opened. */
  #earlier = 0;
  /** Numbers of what was given back and has not come again. */
  readonly #returned = new Set<number>();
  /** What was called back, and was therefore delivered once more than anybody saw. */
  #called: readonly number[] = [];

  constructor(
    owner: ClassOwner,
    consumer: string,
    flow: Flow,
    loans: ReadonlySet<GroupLoan>,
    attempts: Attempts,
  ) {
    this.#owner = owner;
    this.#flow = flow;
    this.#loans = loans;
    this.#attempts = attempts;
    this.#recall = new Recall(owner.space, consumer);
  }

  /** Whether something was lost that is to be called back before more is asked for. */
  get isDue(): boolean {
    return this.#recall.isDue;
  }

  /** Records that have come and are not in line. */
  get kept(): number {
    return this.#gathering?.loans.length ?? 0;
  }

  /** Records that were delivered before, and without which nothing goes to core. */
  get owed(): number {
    return Math.max((this.#gathering?.owed ?? 0) - this.#attempts.waiting, 0);
  }

  /** Something was sent here, or from here, and has not arrived: it is to be called back. */
  owes(): void {
    this.#recall.isDue = true;
  }

  /** What is delivered from now on may not come. */
  unsettle(): void {
    this.#gap ??= Math.max(this.#top, this.#attempts.top);
  }

  /** Others may have had the lane. */
  forget(): void {
    this.#gap = UNKNOWN;
  }

  /** What was lost comes by itself: it is waited for all of it before the lane is taken again. */
  giveUp(): void {
    this.#recall.done();
    this.forget();
  }

  returns({ seq }: GroupLoan): void {
    this.#returned.add(seq);
  }

  /** One has come; it is in line now, or when all before it is here. */
  add(loan: GroupLoan): void {
    const { seq } = loan;
    if (seq > this.#top) this.#top = seq;
    const isReturned = this.#returned.delete(seq);
    if (this.#gathering === undefined) this.#owner.turns.add(loan);
    else if (this.#gathering.add(loan, isReturned || this.#gap !== undefined)) this.#gathered();
  }

  /** @returns whether the server sends what was lost before all else; otherwise it is to be tried again */
  async callBack(info: ConsumerInfo | undefined): Promise<boolean> {
    await this.#attempts.idle;
    if (!this.#recall.isDue) return true;
    if (info === undefined) return false;
    const [upTo, isKnown] = [this.#gap ?? this.#top, this.#gap !== UNKNOWN];
    const here = new Set([...this.#loans].map(({ seq }) => seq));
    const { last: reply } = this.#flow;
    const delivery = Math.max(this.#earlier, reply === '' ? 0 : placeOf(reply).delivery);
    const known = { upTo, here, returned: this.#returned, delivery, reply };
    const called = await this.#recall.callBack(info, known, this.#owner.ackWait);
    if (called === undefined || !this.#recall.isDue) return false;
    this.#recall.done();
    if (isKnown) {
      this.#called = called.filter((seq) => seq > upTo);
      for (const seq of this.#called) this.#attempts.miss(seq);
    }
    return true;
  }

  /** More is about to be asked for: what was delivered before comes first. */
  gather({ num_ack_pending, delivered }: ConsumerInfo): void {
    this.#earlier = delivered.consumer_seq;
    const here = this.#gathering?.end() ?? [];
    const unsettled = num_ack_pending - this.#loans.size;
    const isKnown = this.#gap === undefined;
    const missing = isKnown ? Math.min(unsettled, this.#returned.size) : unsettled;
    // What came before a break waits for what was lost with it.
    const late = (): void => {
      if (!this.#recall.isDue) this.#gathered();
    };
    this.#gathering = new Gathering(here, delivered.stream_seq, missing, isKnown, late);
    if (missing <= 0) this.#gathered();
  }

  /** What was delivered before is here; the rest is with somebody, or comes when it is due. */
  #gathered(): void {
    this.#gap = undefined;
    this.#returned.clear();
    for (const seq of this.#called) this.#attempts.forget(seq);
    this.#called = [];
    this.lineUp();
  }

  /** Brings what was gathered into line. */
  lineUp(): void {
    const loans = this.#gathering?.end() ?? [];
    this.#gathering = undefined;
    for (const loan of loans) if (loan.state === HELD) this.#owner.turns.add(loan);
    if (loans.length > 0) this.#owner.changed();
  }
}
