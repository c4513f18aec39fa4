/** Where a publish stands among those of its key that take their time. */
export interface Place {
  /** Settles when all before it have been handed on, or will not be. */
  readonly before: Promise<void> | undefined;
  /** To be called when it has been handed on, or will not be; a second call does nothing. */
  readonly done: () => void;
}

/** A place of no key. */
export const FREE: Place = { before: undefined, done: () => {} };

/** Of one key, a publish that is ready at once must not overtake one that is still on its way through middleware or a compressor. */
export class KeyOrder {
  /** By topic and key: settles when the last one has been handed on. */
  readonly #last = new Map<string, Promise<void>>();

  /** Whether nobody takes his time. */
  get isIdle(): boolean {
    return this.#last.size === 0;
  }

  isBusy(topic: string, key: string): boolean {
    return this.#last.has(laneOf(topic, key));
  }

  /** The next place of a key. */
  take(topic: string, key: string): Place {
    const lane = laneOf(topic, key);
    const before = this.#last.get(lane);
    const { promise, resolve } = Promise.withResolvers<void>();
    const passed: Promise<void> = Promise.all([promise, before]).then(() => {
      if (this.#last.get(lane) === passed) this.#last.delete(lane);
    });
    this.#last.set(lane, passed);
    return { before, done: resolve };
  }
}

const laneOf = (topic: string, key: string): string => `${topic} ${key}`;
