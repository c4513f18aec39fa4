import { type Entry, WAITING } from '../queue/entry.ts';
import { Sequence } from '../queue/sequence.ts';
import type { Member } from './member.ts';

/**
 * The queue of one key within a group. Only its first record may be in the ready queue, so that neither a priority nor
 * a second member overtakes within the key.
 */
export class Lane {
  readonly key: string;
  /** Who has deliveries of this key; only this member gets more until they are settled. */
  owner: Member | undefined = undefined;
  lent = 0;
  /** The member in whose list of lanes that wait for credit it stands. */
  stalledAt: Member | undefined = undefined;
  /** The first that waits. */
  head: Entry | undefined = undefined;
  #rest: Sequence | undefined = undefined;
  /** Nacked with `order: 'block'` and not yet acked, in publish order: nothing else of the key goes before them. */
  blockers: Entry[] | undefined = undefined;

  constructor(key: string) {
    this.key = key;
  }

  /** The one that may go next. */
  get next(): Entry | undefined {
    if (this.blockers === undefined) return this.head;
    const first = this.blockers[0]!;
    // One before it is there again, when its member was lost: it goes first.
    if (this.head !== undefined && this.head.seq < first.seq) return this.head;
    return first.state === WAITING ? first : undefined;
  }

  get empty(): boolean {
    return this.head === undefined && this.lent === 0 && this.blockers === undefined;
  }

  /** Adds an entry that is newer than all in the lane. */
  push(entry: Entry): void {
    entry.lane = this;
    if (this.head === undefined) {
      this.head = entry;
    } else {
      this.#rest ??= new Sequence();
      this.#rest.push(entry);
    }
  }

  /** Adds an entry at its old place. */
  putBack(entry: Entry): void {
    entry.lane = this;
    let later = entry;
    if (this.head === undefined || entry.seq < this.head.seq) {
      const head = this.head;
      this.head = entry;
      if (head === undefined) return;
      later = head;
    }
    this.#rest ??= new Sequence();
    this.#rest.putBack(later);
  }

  /** `next` goes to `member`. */
  lend(entry: Entry, member: Member): void {
    this.owner = member;
    this.lent++;
    if (entry === this.head) this.#advance();
  }

  /** One delivery of the lane is no longer with its owner. */
  returned(): void {
    if (--this.lent === 0) this.owner = undefined;
  }

  /** Lets `again` block the lane, in the place of `before` where that did already. */
  block(before: Entry, again: Entry): void {
    again.lane = this;
    this.blockers ??= [];
    const at = this.blockers.indexOf(before);
    if (at >= 0) {
      this.blockers[at] = again;
    } else {
      this.blockers.push(again);
      this.blockers.sort((a, b) => a.seq - b.seq);
    }
  }

  blockedBy(entry: Entry): boolean {
    return this.blockers?.includes(entry) ?? false;
  }

  unblock(entry: Entry): void {
    if (this.blockers === undefined) return;
    const left = this.blockers.filter((other) => other !== entry);
    this.blockers = left.length === 0 ? undefined : left;
  }

  /** Removes what `keep` is false for. */
  retain(keep: (entry: Entry) => boolean): void {
    this.#rest?.retain(keep);
    if (this.head !== undefined && !keep(this.head)) this.#advance();
    const left = this.blockers?.filter(keep);
    this.blockers = left?.length === 0 ? undefined : left;
  }

  #advance(): void {
    this.head = this.#rest?.take();
    if (this.#rest?.size === 0) this.#rest = undefined;
  }
}
