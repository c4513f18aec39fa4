/** Answers that are remembered; all are dropped when there are this many, which only a mistake brings about. */
const REMEMBERED = 10_000;

/** Remembers answers, and asks once for those who ask at the same time. What failed, or was undefined, is asked again. */
export class Memo<T> {
  readonly #known = new Map<string, Promise<T | undefined>>();

  get(key: string, ask: () => Promise<T>): Promise<T>;
  get(key: string, ask: () => Promise<T | undefined>): Promise<T | undefined>;
  get(key: string, ask: () => Promise<T | undefined>): Promise<T | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = ask();
    if (this.#known.size >= REMEMBERED) this.#known.clear();
    this.#known.set(key, asked);
    const forget = (): void => {
      if (this.#known.get(key) === asked) this.#known.delete(key);
    };
    asked.then((answer) => answer === undefined && forget(), forget);
    return asked;
  }
}
