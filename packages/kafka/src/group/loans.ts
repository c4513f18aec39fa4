import type { Feed } from '../feed/feed.ts';
import type { Part } from '../feed/part.ts';
import type { Hub } from '../hub.ts';

/** What a member says of a record that it still has of a partition that is another one's now. */
export interface Return {
  readonly id: string;
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly holder: string;
  /** When it is to come again; it is done where this is missing. */
  readonly due?: number;
  /** It was never handled: it does not count. */
  readonly untouched?: boolean;
}

/** The owner's answer. */
export interface Receipt {
  readonly id: string;
  readonly ok: boolean;
}

/** Milliseconds before a return that nobody has answered is sent again: its partition may be changing hands. */
const AGAIN = 100;
const LONGEST_AGAIN = 1_000;
/** Returns that are remembered, so that one that is repeated gets the same answer. */
const REMEMBERED = 2_000;

/** Counts over all subscriptions: two of one bus may be in one group. */
let returned = 0;

interface Pending {
  timer: NodeJS.Timeout | undefined;
  readonly resolve: (ok: boolean) => void;
}

/**
 * Settlement of records whose partition went to another member while core had them: a running handler neither holds a
 * rebalance up nor is interrupted by it. The new owner knows from the account which records are out, hears here what
 * became of them, and takes them back when their holder leaves the group.
 */
export class Loans {
  readonly #hub: Hub;
  readonly #group: string;
  readonly #feed: Feed;
  readonly #commit: () => Promise<boolean>;
  readonly #pending = new Map<string, Pending>();
  readonly #answered = new Map<string, boolean>();

  constructor(hub: Hub, group: string, feed: Feed, commit: () => Promise<boolean>) {
    this.#hub = hub;
    this.#group = group;
    this.#feed = feed;
    this.#commit = commit;
  }

  /** Resolves to whether the owner took it; to false when the membership ends before it answers. */
  giveBack(
    part: Part,
    offset: number,
    holder: string,
    how: Pick<Return, 'due' | 'untouched'>,
  ): Promise<boolean> {
    const id = `${this.#hub.host.busId}.${returned++}`;
    const { topic, partition } = part;
    return new Promise((resolve) => {
      const pending: Pending = { timer: undefined, resolve };
      this.#pending.set(id, pending);
      this.#send({ id, group: this.#group, topic, partition, offset, holder, ...how }, pending, AGAIN);
    });
  }

  async heard(back: Return): Promise<void> {
    if (back.group !== this.#group) return;
    const part = this.#feed.parts.get(`${back.topic}/${back.partition}`);
    if (part === undefined || part.draining) return;
    const { ledger } = part;
    let ok = this.#answered.get(back.id);
    if (ok === undefined) {
      ok = ledger.loans.get(back.offset) === back.holder;
      if (ok) {
        if (back.untouched === true) ledger.release(back.offset);
        this.#feed.back(part, back.offset, back.untouched === true ? 0 : back.due);
      } else {
        // Told before to whoever owned the partition then.
        const done = ledger.done(back.offset);
        ok = done && back.due === undefined;
        if (done) this.#feed.back(part, back.offset, undefined);
      }
      this.#answered.set(back.id, ok);
      if (this.#answered.size > REMEMBERED) this.#answered.delete(this.#answered.keys().next().value!);
    }
    if (await this.#commit()) await this.#hub.announce({ receipt: { id: back.id, ok } }).catch(() => {});
  }

  receipt({ id, ok }: Receipt): void {
    this.#end(id, ok);
  }

  /** Whoever is not there any more has nothing. */
  membersAre(members: ReadonlySet<string>): void {
    for (const part of this.#feed.parts.values()) {
      for (const [offset, holder] of part.ledger.loans) {
        if (!members.has(holder) && part.loaned.has(offset)) this.#feed.back(part, offset, 0);
      }
      // Deleted by the server meanwhile: nobody else may tell what became of it.
      for (const offset of part.loaned.keys()) {
        if (part.ledger.done(offset)) this.#feed.back(part, offset, undefined);
      }
    }
  }

  close(): void {
    for (const id of [...this.#pending.keys()]) this.#end(id, false);
  }

  #end(id: string, ok: boolean): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.resolve(ok);
  }

  #send(back: Return, pending: Pending, delay: number): void {
    this.#hub.announce({ back }).catch(() => {});
    pending.timer = setTimeout(
      () => this.#send(back, pending, Math.min(delay * 2, LONGEST_AGAIN)),
      delay,
    ).unref();
  }
}
