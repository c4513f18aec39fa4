import { crc32 } from 'node:zlib';
import type { DriverSubscription, Incoming } from '../link/driver.ts';
import type { RecordClass } from '../names.ts';
import { text } from '../server/api.ts';
import type { Space } from '../server/space.ts';

/** Milliseconds between two signs of life. */
const HERE_AGAIN = 2_000;
/** Milliseconds without one after which a member is no longer counted on. */
const SILENT = 7_000;
/** Milliseconds that a newcomer listens before it takes anything. */
const LISTEN = 100;

/** Asks every member how many deliveries it has. */
const HOW_MANY = '?';
/** Tells every member that the group is no more. */
const DELETED = 'deleted';

/** The members of one group as they see each other: who is there, and whose turn each lane is. */
export class Company {
  readonly id: string;
  readonly #space: Space;
  readonly #subject: string;
  readonly #mark: string;
  readonly #lent: () => number;
  readonly #changed: () => void;
  readonly #deleted: () => void;
  readonly #shortened: () => void;
  readonly #others = new Map<string, number>();
  #subscription: DriverSubscription | undefined;
  /** Since when it takes part in sharing lanes out; 0 while it does not. */
  #since = 0;
  #lastHere = 0;
  #lastMark = 0;

  /**
   * @param lent - how many deliveries this member has
   * @param changed - lanes may be to be shared out anew
   * @param deleted - somebody says that the group was deleted
   * @param shortened - somebody has joined with a shorter lease
   */
  constructor(
    space: Space,
    consumer: string,
    id: string,
    lent: () => number,
    changed: () => void,
    deleted: () => void,
    shortened: () => void,
  ) {
    this.#space = space;
    this.#deleted = deleted;
    this.#shortened = shortened;
    this.id = id;
    this.#subject = space.names.talk(consumer);
    this.#mark = space.names.member(consumer, id);
    this.#lent = lent;
    this.#changed = changed;
  }

  open(): void {
    this.#subscription ??= this.#space.link.subscribe(this.#subject, undefined, (message) =>
      this.#heard(message),
    );
  }

  /** Says on the server that this member is up, until it is silent for a lease. */
  async mark(now: number = Date.now()): Promise<void> {
    const { lease } = this.#space.link.settings;
    if (now - this.#lastMark < lease / 3) return;
    this.#lastMark = now;
    const headers = `Nats-Rollup: sub\r\nNats-TTL: ${Math.max(Math.ceil(lease / 1_000), 1)}s\r\n`;
    await this.#space.api.store(this.#mark, '', headers).catch(() => {});
  }

  /** Takes part in sharing lanes out. */
  join(): void {
    if (this.#since !== 0) return;
    this.#since = Date.now();
    this.#say();
  }

  leave(): void {
    if (this.#since === 0) return;
    this.#since = 0;
    this.#space.link.send(this.#subject, `bye ${this.id}`);
  }

  /** Tells that the group's lease may be shorter from now on. */
  tellLease(): void {
    this.#space.link.send(this.#subject, `lease ${this.id}`);
  }

  /** Tells that a lane is free. */
  freed(): void {
    this.#space.link.send(this.#subject, `free ${this.id}`);
  }

  tick(now: number): void {
    if (this.#since === 0) return;
    if (now - this.#lastHere >= HERE_AGAIN) this.#say();
    for (const [id, heard] of this.#others) if (now - heard > SILENT) this.#others.delete(id);
  }

  /** Nothing was heard while the connection was down. */
  reset(): void {
    this.#others.clear();
    this.#lastMark = 0;
    if (this.#since === 0) return;
    this.#since = Date.now();
    this.#say();
  }

  /** Whether it is this member's turn to have the lane: for each lane the members are ranked anew. */
  hasTurn(lane: RecordClass): boolean {
    if (this.#since === 0 || Date.now() - this.#since < LISTEN) return false;
    const own = crc32(`${lane} ${this.id}`);
    for (const other of this.#others.keys()) {
      const rank = crc32(`${lane} ${other}`);
      if (rank > own || (rank === own && other > this.id)) return false;
    }
    return true;
  }

  async close(): Promise<void> {
    this.leave();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    if (this.#space.link.canSend) await this.#space.purgeOwn(this.#mark).catch(() => {});
  }

  #say(): void {
    this.#lastHere = Date.now();
    this.#space.link.send(this.#subject, `here ${this.id}`);
  }

  #heard(message: Incoming): void {
    const said = text(message);
    if (said === HOW_MANY) {
      this.#space.link.send(message.reply, String(this.#lent()));
      return;
    }
    if (said === DELETED) {
      this.#deleted();
      return;
    }
    const [verb, id] = said.split(' ');
    if (id === undefined || id === this.id) return;
    if (verb === 'lease') {
      this.#shortened();
      return;
    }
    if (verb === 'here') {
      const isNew = !this.#others.has(id);
      this.#others.set(id, Date.now());
      if (!isNew) return;
      if (this.#since !== 0) this.#say();
    } else if (verb === 'bye') {
      this.#others.delete(id);
    }
    this.#changed();
  }
}

/** What the members of a group that are up have with them. */
export async function lentOf(
  space: Space,
  consumer: string,
  members: number,
  patience = 300,
): Promise<number> {
  if (members === 0) return 0;
  const { link } = space;
  return new Promise((resolve) => {
    let [answers, lent] = [0, 0];
    const end = (): void => {
      clearTimeout(timer);
      link.forget(address);
      resolve(lent);
    };
    const timer = setTimeout(end, patience);
    const address = link.expect({
      answer(_, message) {
        if (message.head !== undefined) return end();
        lent += Number(text(message)) || 0;
        if (++answers >= members) end();
      },
      broken: end,
    });
    link.send(space.names.talk(consumer), HOW_MANY, address);
  });
}

/** Those that ask for nothing at the moment would not notice. */
export function tellDeleted(space: Space, consumer: string): void {
  space.link.send(space.names.talk(consumer), DELETED);
}
