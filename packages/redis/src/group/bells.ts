import type { Listener } from '../channels/ears.ts';
import type { Context } from '../context.ts';

/** What a member listens to. */
export interface BellSettings {
  readonly group: string;
  /** Where it is told of keys, priorities and retries on its one topic; undefined for a pattern. */
  readonly special: string | undefined;
  /** Where it is told of everything else, unless a reader waits for that. */
  readonly plain: string | undefined;
  /** The same for a pattern: more than it matches. */
  readonly glob: string | undefined;
  matches(topic: string): boolean;
  rung(topic: string): void;
  /** The group was deleted. */
  deleted(): void;
}

/** The channels by which publishers and members tell that there is something to take. One that is missed costs a second. */
export class Bells {
  readonly #context: Context;
  readonly #settings: BellSettings;
  readonly #ring: Listener;
  readonly #gone: Listener;

  constructor(context: Context, settings: BellSettings) {
    this.#context = context;
    this.#settings = settings;
    const start = context.names.root.length + 2;
    this.#ring = (_, channel) => {
      const topic = channel.slice(start);
      if (settings.matches(topic)) settings.rung(topic);
    };
    this.#gone = (message) => {
      if (message.toString() === settings.group) settings.deleted();
    };
  }

  async open(): Promise<void> {
    const { ears, names } = this.#context;
    const { special, plain, glob } = this.#settings;
    await Promise.all([
      ears.listen(`${names.root}g`, this.#gone),
      special && ears.listen(special, this.#ring),
      plain && ears.listen(plain, this.#ring),
      glob && ears.listenGlob(glob, this.#ring),
    ]);
  }

  /** Waits for no answer: nobody is rung for any more. */
  close(): void {
    const { ears, names } = this.#context;
    const { special, plain, glob } = this.#settings;
    void ears.unlisten(`${names.root}g`, this.#gone);
    if (special !== undefined) void ears.unlisten(special, this.#ring);
    if (plain !== undefined) void ears.unlisten(plain, this.#ring);
    if (glob !== undefined) void ears.unlistenGlob(glob, this.#ring);
  }
}
