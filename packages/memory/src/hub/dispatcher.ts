/** Something that hands out what it has when it is asked to. */
export interface Dispatchable {
  /** Whether it stands on the list; kept by the dispatcher. */
  scheduled: boolean;
  dispatch(): void;
}

/**
 * Runs within one turn of the event loop before timers and sockets get theirs. A consumer that acks inside of
 * `Sink.deliver` would otherwise keep a long backlog flowing for as long as it lasts.
 */
const RUNS_PER_TURN = 64;

/**
 * Hands records out a microtask after they came, never inside of the call that brought them: what is published or acked
 * in one go leaves in one go, and no caller finds itself inside of a handler.
 */
export class Dispatcher {
  readonly #after: () => void;
  #list: Dispatchable[] = [];
  #armed = false;
  #runs = 0;

  /** @param after - called after each run */
  constructor(after: () => void) {
    this.#after = after;
  }

  schedule(target: Dispatchable): void {
    if (target.scheduled) return;
    target.scheduled = true;
    this.#list.push(target);
    this.wake();
  }

  /** Makes sure that a run follows. */
  wake(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#runs++;
    if (this.#runs === RUNS_PER_TURN / 2) setImmediate(this.#newTurn);
    if (this.#runs < RUNS_PER_TURN) queueMicrotask(this.#run);
    else setImmediate(this.#run);
  }

  readonly #newTurn = (): void => {
    this.#runs = 0;
  };

  readonly #run = (): void => {
    const list = this.#list;
    this.#list = [];
    this.#armed = false;
    let next = 0;
    try {
      while (next < list.length) {
        const target = list[next++]!;
        target.scheduled = false;
        target.dispatch();
      }
    } finally {
      // One that throws must not keep from the others what is theirs.
      if (next < list.length) {
        this.#list.push(...list.slice(next));
        this.wake();
      }
      this.#after();
    }
  };
}
