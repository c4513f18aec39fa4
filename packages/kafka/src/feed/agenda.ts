/** Things that wait for their time, with one timer for all. */
export class Agenda<T> {
  readonly #run: (item: T) => void;
  #items: { readonly due: number; readonly item: T }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(run: (item: T) => void) {
    this.#run = run;
  }

  add(due: number, item: T): void {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#items[middle]!.due <= due) low = middle + 1;
      else high = middle;
    }
    this.#items.splice(low, 0, { due, item });
    if (low === 0) this.#arm();
  }

  remove(doomed: (item: T) => boolean): T[] {
    const removed = this.#items.filter(({ item }) => doomed(item)).map(({ item }) => item);
    if (removed.length > 0) this.#items = this.#items.filter(({ item }) => !doomed(item));
    return removed;
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#items = [];
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
    while (this.#items.length > 0 && this.#items[0]!.due <= now) this.#run(this.#items.shift()!.item);
    this.#arm();
  }
}
