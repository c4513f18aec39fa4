import type { Loan } from './delivery.ts';

const RANKS = 5;

/** Behind so many taken ones the rest is moved up. */
const MOVE_UP = 1_024;

/** What may go to core, of one rank, in the order of the stream. */
class Line<L extends Loan> {
  #loans: L[] = [];
  #head = 0;

  get size(): number {
    return this.#loans.length - this.#head;
  }

  push(loan: L): void {
    this.#loans.push(loan);
  }

  /** Adds one at its old place. */
  putBack(loan: L): void {
    let at = this.#head;
    while (at < this.#loans.length && this.#loans[at]!.seq < loan.seq) at++;
    this.#loans.splice(at, 0, loan);
  }

  take(): L | undefined {
    const loan = this.#loans[this.#head];
    if (loan === undefined) return undefined;
    if (++this.#head === this.#loans.length) {
      this.#loans = [];
      this.#head = 0;
    } else if (this.#head === MOVE_UP) {
      this.#loans.splice(0, MOVE_UP);
      this.#head = 0;
    }
    return loan;
  }

  /** Takes those that `wanted` is true for. */
  extract(wanted: (loan: L) => boolean): L[] {
    const all = this.#loans.slice(this.#head);
    this.#loans = all.filter((loan) => !wanted(loan));
    this.#head = 0;
    return all.filter(wanted);
  }
}

/** The records of one key that this subscription has. */
interface Key<L extends Loan> {
  /** In line, or with core. */
  out: number;
  /** In the order of the stream. */
  readonly waiting: L[];
  /** Numbers of those that were nacked with `order: 'block'`: nothing else of the key goes before them. */
  blockers: number[];
}

/** Whose turn it is among what has arrived: by rank, and of each key only so many at a time. */
export class Turns<L extends Loan> {
  readonly #lines: readonly Line<L>[] = Array.from({ length: RANKS }, () => new Line<L>());
  readonly #keys = new Map<string, Key<L>>();
  readonly #ofOneKey: number;
  /** Records that could go to core now. */
  ready = 0;
  /** Records that wait behind others of their key. */
  waiting = 0;

  constructor(prefetch: number) {
    this.#ofOneKey = Math.max(1, prefetch >> 2);
  }

  add(loan: L): void {
    const name = loan.record.key;
    if (name === undefined) {
      this.#lines[loan.rank]!.push(loan);
      this.ready++;
      return;
    }
    let key = this.#keys.get(name);
    if (key === undefined) {
      key = { out: 0, waiting: [], blockers: [] };
      this.#keys.set(name, key);
    }
    this.#wait(key, loan);
    this.#offer(key);
  }

  /** The next one, of a rank that is not below `lowest`. */
  take(lowest: number): L | undefined {
    if (this.ready === 0) return undefined;
    for (let rank = 0; rank <= lowest; rank++) {
      const loan = this.#lines[rank]!.take();
      if (loan === undefined) continue;
      this.ready--;
      return loan;
    }
    return undefined;
  }

  /** How many of a rank could go now. */
  sizeOf(rank: number): number {
    return this.#lines[rank]!.size;
  }

  /** One that core has is to come again, at its old place. */
  putBack(loan: L): void {
    const name = loan.record.key;
    if (name === undefined) {
      this.#lines[loan.rank]!.putBack(loan);
      this.ready++;
      return;
    }
    const key = this.#keys.get(name)!;
    key.out--;
    this.#wait(key, loan);
    this.#recall(key, loan.seq);
    this.#offer(key);
  }

  /** One that core had is done with. */
  settled(loan: L): void {
    const name = loan.record.key;
    const key = name === undefined ? undefined : this.#keys.get(name);
    if (key === undefined) return;
    key.out--;
    if (key.blockers.length > 0) key.blockers = key.blockers.filter((seq) => seq !== loan.seq);
    this.#tidy(name!, key);
  }

  /** One that core had comes again from the server, and holds back the rest of its key until it is acked. */
  block(loan: L): void {
    const name = loan.record.key;
    const key = name === undefined ? undefined : this.#keys.get(name);
    if (key === undefined) return;
    key.out--;
    if (!key.blockers.includes(loan.seq)) key.blockers = [...key.blockers, loan.seq].sort((a, b) => a - b);
    this.#recall(key, -1);
    this.#offer(key);
  }

  /** Takes what core does not have and `wanted` is true for, in the order of the stream. */
  extract(wanted: (loan: L) => boolean): L[] {
    const taken: L[] = [];
    for (const line of this.#lines) {
      for (const loan of line.extract(wanted)) {
        this.ready--;
        const key = loan.record.key === undefined ? undefined : this.#keys.get(loan.record.key);
        if (key !== undefined) key.out--;
        taken.push(loan);
      }
    }
    for (const [name, key] of this.#keys) {
      const left = key.waiting.filter((loan) => !wanted(loan));
      if (left.length < key.waiting.length) {
        taken.push(...key.waiting.filter(wanted));
        this.waiting -= key.waiting.length - left.length;
        key.waiting.splice(0, key.waiting.length, ...left);
      }
      this.#tidy(name, key);
    }
    return taken.sort((a, b) => a.seq - b.seq);
  }

  /** What blocks its key, of the keys that `wanted` is true for. */
  blocked(wanted: (key: string) => boolean): [key: string, seq: number][] {
    const all: [string, number][] = [];
    for (const [name, { blockers }] of this.#keys) {
      if (blockers.length > 0 && wanted(name))
        all.push(...blockers.map((seq): [string, number] => [name, seq]));
    }
    return all;
  }

  /** Somebody else's nacked record blocks its key here. */
  inherit(name: string, seq: number): void {
    const key = this.#keys.get(name) ?? { out: 0, waiting: [], blockers: [] };
    if (!key.blockers.includes(seq)) key.blockers = [...key.blockers, seq].sort((a, b) => a - b);
    this.#keys.set(name, key);
  }

  /** A record that blocks its key will not come again. */
  gone(name: string, seq: number): void {
    const key = this.#keys.get(name);
    if (key === undefined) return;
    key.blockers = key.blockers.filter((other) => other !== seq);
    this.#tidy(name, key);
  }

  /** Forgets what blocks the keys that `wanted` is true for. */
  unblock(wanted: (key: string) => boolean): void {
    for (const [name, key] of this.#keys) {
      if (!wanted(name)) continue;
      key.blockers = [];
      this.#tidy(name, key);
    }
  }

  #wait(key: Key<L>, loan: L): void {
    const { waiting } = key;
    let at = waiting.length;
    while (at > 0 && waiting[at - 1]!.seq > loan.seq) at--;
    waiting.splice(at, 0, loan);
    this.waiting++;
  }

  /** Takes those in line behind `seq` back to the key's own queue. */
  #recall(key: Key<L>, seq: number): void {
    if (key.out === 0) return;
    const isOfKey = (loan: L): boolean =>
      loan.seq > seq && loan.record.key !== undefined && this.#keys.get(loan.record.key) === key;
    for (const line of this.#lines) {
      if (line.size === 0) continue;
      for (const loan of line.extract(isOfKey)) {
        key.out--;
        this.ready--;
        this.#wait(key, loan);
      }
    }
  }

  #offer(key: Key<L>): void {
    const { waiting, blockers } = key;
    while (waiting.length > 0 && key.out < this.#ofOneKey) {
      const next = waiting[0]!;
      // One before it is there again after all, when its member or its ack was lost: it goes first.
      if (blockers.length > 0 && next.seq > blockers[0]!) return;
      waiting.shift();
      this.waiting--;
      key.out++;
      this.ready++;
      this.#lines[next.rank]!.push(next);
    }
  }

  #tidy(name: string, key: Key<L>): void {
    this.#offer(key);
    if (key.out === 0 && key.waiting.length === 0 && key.blockers.length === 0) this.#keys.delete(name);
  }
}
