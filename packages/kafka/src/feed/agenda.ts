/** What waits until then, in milliseconds since the epoch. */
interface Timed {
  readonly due: number;
  /** Which comes first of those that are due at the same time. */
  readonly order: number;
}

/** Things that wait for their time, with one timer for all: a heap, of which the first is due first. */
export class Agenda<T extends Timed> {
  readonly #run: (item: T) => void;
  #items: T[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(run: (item: T) => void) {
    this.#run = run;
  }

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    this.#items.push(item);
    this.#up(this.#items.length - 1);
    if (this.#items[0] === item) this.#arm();
  }

  remove(doomed: (item: T) => boolean): void {
    const left = this.#items.filter((item) => !doomed(item));
    if (left.length === this.#items.length) return;
    this.#items = left;
    for (let at = (left.length >> 1) - 1; at >= 0; at--) this.#down(at);
    this.#arm();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#items = [];
  }

  #take(): T {
    const first = this.#items[0]!;
    const last = this.#items.pop()!;
    if (this.#items.length > 0) {
      this.#items[0] = last;
      this.#down(0);
    }
    return first;
  }

  #up(from: number): void {
    const items = this.#items;
    const item = items[from]!;
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (compare(items[above]!, item) <= 0) break;
      items[at] = items[above]!;
      at = above;
    }
    items[at] = item;
  }

  #down(from: number): void {
    const items = this.#items;
    const item = items[from]!;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && compare(items[below + 1]!, items[below]!) < 0) below++;
      if (compare(items[below]!, item) >= 0) break;
      items[at] = items[below]!;
      at = below;
    }
    items[at] = item;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const first = this.#items[0];
    if (first === undefined) return;
    // Longer than a timer can wait: looked at again then.
    const delay = Math.min(Math.max(0, first.due - Date.now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#due(), delay).unref();
  }

  #due(): void {
    const now = Date.now();
    while (this.#items.length > 0 && this.#items[0]!.due <= now) this.#run(this.#take());
    this.#arm();
  }
}

function compare(a: Timed, b: Timed): number {
  return a.due - b.due || a.order - b.order;
}
