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
    const first = this.#queue[0];
    if (this.#blockers.length === 0) return first;
    const blocker = this.#blockers[0]!;
    return first !== undefined && sameRecord(first, blocker) ? first : undefined;
  }

  push(entry: Entry): void {
    const queue = this.#queue;
    let at = queue.length;
    while (at > 0 && queue[at - 1]!.order > entry.order) at--;
    queue.splice(at, 0, entry);
  }

  /** `entry` is `next` and goes to core. */
  take(): void {
    this.#queue.shift();
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
