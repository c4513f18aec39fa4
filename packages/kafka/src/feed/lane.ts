import { DROPPED, type Entry } from './entry.ts';

/** Which record it is. */
export type Identity = Pick<Entry, 'part' | 'offset' | 'order'>;

/** The records of one key that this subscription has read. Only its first may be ready, so that none overtakes another. */
export class Lane {
  readonly key: string;
  /** How many are with core. */
  lent = 0;
  /** How many another member still has, from before the partition was this one's: until then none goes. */
  away = 0;
  #queue: Entry[] = [];
  /** Nacked with `order: 'block'` and not yet acked, oldest first: by offset and partition. */
  readonly #blockers: Identity[] = [];

  constructor(key: string) {
    this.key = key;
  }

  get empty(): boolean {
    return this.lent === 0 && this.away === 0 && this.#queue.length === 0 && this.#blockers.length === 0;
  }

  /** The one whose turn it is. */
  get next(): Entry | undefined {
    if (this.away > 0) return undefined;
    while (this.#queue[0]?.state === DROPPED) this.#queue.shift();
    const [blocker] = this.#blockers;
    if (blocker === undefined) return this.#queue[0];
    // After a change of owners it may have been read behind those that are to wait for it.
    const entry = this.#queue[this.#behind(blocker.order) - 1];
    return entry !== undefined && sameRecord(entry, blocker) ? entry : undefined;
  }

  push(entry: Entry): void {
    this.#queue.splice(this.#behind(entry.order), 0, entry);
  }

  /** Where the first one stands that comes behind this order. */
  #behind(order: number): number {
    const queue = this.#queue;
    // Nearly always the last.
    if (queue.length === 0 || queue.at(-1)!.order <= order) return queue.length;
    let low = 0;
    let high = queue.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (queue[middle]!.order > order) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** `entry` is `next` and goes to core. */
  take(): void {
    const { next } = this;
    if (next === this.#queue[0]) this.#queue.shift();
    else if (next !== undefined) this.#queue.splice(this.#queue.indexOf(next), 1);
    this.lent++;
  }

  drop(doomed: (entry: Identity) => boolean, each: (entry: Entry) => void = () => {}): void {
    const dropped = this.#queue.filter(doomed);
    if (dropped.length > 0) this.#queue = this.#queue.filter((entry) => !doomed(entry));
    dropped.forEach(each);
    for (const blocker of this.#blockers.filter(doomed)) this.unblock(blocker);
  }

  block(entry: Identity): void {
    if (this.blocks(entry)) return;
    const { part, offset, order } = entry;
    // Not itself: its bytes need not stay while it waits.
    this.#blockers.push({ part, offset, order });
    this.#blockers.sort((a, b) => a.order - b.order);
  }

  blocks(entry: Identity): boolean {
    return this.#blockers.some((one) => sameRecord(one, entry));
  }

  unblock(entry: Identity): void {
    const at = this.#blockers.findIndex((one) => sameRecord(one, entry));
    if (at >= 0) this.#blockers.splice(at, 1);
  }
}

function sameRecord(a: Identity, b: Identity): boolean {
  return a.order === b.order;
}
