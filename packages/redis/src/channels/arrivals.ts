import { placeIn } from '../wire/frame.ts';

type Fetch = (tag: string, key: string) => Promise<Buffer | undefined>;

/** Hands over what comes in the order in which it came, though some of it has to be fetched first. */
export class Arrivals {
  readonly #fetch: Fetch;
  /** By line: settles when all that came before is handed over. */
  readonly #tails = new Map<string, Promise<void>>();

  /** @param fetch - never rejects; undefined for what is not there any more */
  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  /** @param line - within which the order is kept */
  take(line: string, message: Buffer, deliver: (message: Buffer) => void): void {
    const place = placeIn(message);
    const before = this.#tails.get(line);
    if (place === undefined && before === undefined) {
      deliver(message);
      return;
    }
    const whole = place === undefined ? message : this.#fetch(place.tag, place.key);
    const tail = this.#after(before, whole, deliver).finally(() => {
      if (this.#tails.get(line) === tail) this.#tails.delete(line);
    });
    this.#tails.set(line, tail);
  }

  async #after(
    before: Promise<void> | undefined,
    whole: Buffer | Promise<Buffer | undefined>,
    deliver: (message: Buffer) => void,
  ): Promise<void> {
    await before;
    const message = await whole;
    if (message !== undefined) deliver(message);
  }
}
