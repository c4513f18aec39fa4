import type { Link } from '../link/link.ts';
import type { Names } from '../names.ts';

/** Tells the other buses of the prefix, and hears from them, that a topic was deleted: whoever publishes to it makes it anew. */
export class News {
  readonly #link: Link;
  readonly #names: Names;
  readonly #deleted: (topic: string) => void;
  #listening = false;

  constructor(link: Link, names: Names, deleted: (topic: string) => void) {
    this.#link = link;
    this.#names = names;
    this.#deleted = deleted;
  }

  listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#link.subscribe(this.#names.news, undefined, ({ body }) =>
      this.#deleted(Buffer.from(body).toString()),
    );
  }

  tellDeleted(topic: string): void {
    this.#link.send(this.#names.news, topic);
  }
}
