import { wait } from '../driver/cluster.ts';
import { Code } from '../driver/errors.ts';
import { offsetCommit } from '../driver/group-requests.ts';
import type { Part } from '../feed/part.ts';
import type { Hub } from '../hub.ts';
import { type Commits, react, takeAccounts, tellOnce } from './accounts.ts';
import type { GroupMember } from './member.ts';

/** Commits that may be under way at once. Acks wait for the one before; what is handed out does not. */
const AT_ONCE = 16;
const AGAIN = 30;

interface Waiter {
  /** The commit with this number, or a later one, has what it waits for. */
  number: number;
  readonly resolve: (kept: boolean) => void;
}

/** Brings the accounts of a group's partitions to the server: whole states, so that the latest one is always enough. */
export class Committer implements Commits {
  readonly #cluster: Hub['cluster'];
  readonly #member: GroupMember;
  readonly #parts: () => Iterable<Part>;
  readonly #tell: (error: unknown) => void;
  #started = 0;
  #flying = 0;
  #waiters: Waiter[] = [];
  #scheduled = false;
  #closed = false;

  constructor(
    { cluster, host }: Pick<Hub, 'cluster' | 'host'>,
    member: GroupMember,
    parts: () => Iterable<Part>,
  ) {
    this.#cluster = cluster;
    this.#member = member;
    this.#parts = parts;
    this.#tell = tellOnce(host, member.group);
  }

  commit(): Promise<boolean> {
    if (this.#member.membership === undefined || this.#closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#waiters.push({ number: this.#started + 1, resolve });
      this.#schedule();
    });
  }

  touch(): void {
    this.#schedule();
  }

  commitAtOnce(): Promise<boolean> {
    const committed = this.commit();
    if (this.#flying < AT_ONCE) void this.#send();
    return committed;
  }

  lost(): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve(false);
  }

  close(): void {
    this.#closed = true;
    this.lost();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#flying === 0) void this.#send();
    });
  }

  async #send(): Promise<void> {
    if (this.#member.membership === undefined || this.#closed) return this.lost();
    this.#flying++;
    let parts: readonly Part[] = [];
    let number = 0;
    let ok = false;
    try {
      const at = Date.now();
      let node = -1;
      // Before the accounts are taken: who takes longer to find it would store an older state behind a newer one. Not where
      // there is nothing to store: the server may be gone.
      if (this.#changed()) node = await this.#cluster.coordinator(this.#member.group);
      const { membership } = this.#member;
      if (membership === undefined) return;
      const taken = takeAccounts(this.#parts());
      parts = taken.parts;
      const none = taken.entries.length === 0;
      // Those that are under way have it all.
      if (!none || this.#flying === 1) number = ++this.#started;
      if (none) ok = true;
      else {
        const answers = await this.#cluster.send(node, offsetCommit(membership, taken.entries));
        const error = answers.find((one) => one.error !== 0 && one.error !== Code.unknownTopic)?.error ?? 0;
        react(this.#cluster, this.#member, error, membership.generation);
        ok = error === 0;
        if (ok) this.#member.alive(at);
      }
    } catch (error) {
      this.#tell(error);
    } finally {
      this.#flying--;
      if (ok) {
        const done = this.#waiters.filter((waiter) => waiter.number <= number);
        this.#waiters = this.#waiters.filter((waiter) => waiter.number > number);
        for (const { resolve } of done) resolve(true);
      } else {
        for (const part of parts) part.dirty = true;
        // What was in this one is in none of those that are under way.
        for (const waiter of this.#waiters) waiter.number = this.#started + 1;
        // The state goes again, later, and the waiters with it.
        if (!this.#closed) void wait(AGAIN).then(() => this.#schedule());
      }
      if (this.#waiters.length > 0) this.#schedule();
    }
  }

  #changed(): boolean {
    for (const { dirty } of this.#parts()) if (dirty) return true;
    return false;
  }
}
