import { type BusError, type BusRecord, type Delivery, LeaseLostError } from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import { Code } from '../driver/errors.ts';
import { type Membership, offsetCommit } from '../driver/group-requests.ts';
import { type Entry, OUT } from '../feed/entry.ts';
import type { Part } from '../feed/part.ts';
import type { Hub } from '../hub.ts';
import { kindOf, partitionFor, toOut, tooLarge } from '../publish/publish.ts';
import { type Accounts, type Commits, react, takeAccounts, tellOnce } from './accounts.ts';
import type { GroupMember } from './member.ts';
import { endOrphans } from './orphans.ts';
import type { Assignment } from './plan.ts';
import { Transactions } from './transaction.ts';

const AGAIN = 30;

/**
 * The committer of a subscription with transactions. An account says that a message is done, so it must not arrive
 * without what that message's handler has published: commits go one after the other, and one behind acks with something
 * staged is a transaction. All acks that come while one is under way share the next.
 */
export class TransactionalCommitter implements Commits {
  readonly #hub: Hub;
  readonly #member: GroupMember;
  readonly #parts: () => Iterable<Part>;
  readonly #hopeless: (error: BusError) => void;
  readonly #tell: (error: unknown) => void;
  readonly #transactions: Transactions;
  /** Acked and not committed, with something staged. */
  #acked: Entry[] = [];
  #waiters: ((kept: boolean) => void)[] = [];
  #members: ReadonlySet<string> = new Set();
  /** Counts the memberships that were lost. */
  #epoch = 0;
  #wanted = false;
  #scheduled = false;
  #running = false;
  #closed = false;

  /** @param hopeless - told when what is staged can never be stored; it is to give up what it has of the group */
  constructor(
    hub: Hub,
    member: GroupMember,
    id: string,
    parts: () => Iterable<Part>,
    hopeless: (error: BusError) => void,
  ) {
    this.#hub = hub;
    this.#member = member;
    this.#parts = parts;
    this.#hopeless = hopeless;
    this.#tell = tellOnce(hub.host, member.group);
    this.#transactions = new Transactions(hub, member.group, id, this.#tell);
  }

  start(): Promise<void> {
    return this.#transactions.start();
  }

  /** Where somebody has gone, who may have left a transaction open. */
  membersAre({ members, transactions }: Assignment): void {
    const before = this.#members;
    this.#members = new Set(members);
    const left = before.size === 0 || [...before].some((member) => !this.#members.has(member));
    if (left && transactions !== undefined) void endOrphans(this.#hub, this.#member.group, transactions);
  }

  /** See `BrokerSubscription.stage`. */
  async stage(delivery: Delivery, records: readonly BusRecord[]): Promise<void> {
    const entry = delivery as Entry;
    if (records.length === 0) {
      entry.staged = undefined;
      return;
    }
    if (entry.state !== OUT)
      throw new LeaseLostError('the message belongs to another member', { broker: 'kafka' });
    for (const record of records) {
      const refused = tooLarge(record, this.#hub.settings.maxMessageBytes);
      if (refused !== undefined) throw refused;
    }
    entry.staged = [...(entry.staged ?? []), ...records];
    try {
      await Promise.all(records.map((record) => this.#prepare(record)));
    } catch (error) {
      entry.staged = entry.staged.filter((record) => !records.includes(record));
      throw error;
    }
  }

  async #prepare(record: BusRecord): Promise<void> {
    const kind = kindOf(record, Date.now());
    const topic = await this.#hub.topic(record.topic, kind);
    if (kind !== 'd') return;
    const partition = partitionFor(record, kind, toOut(record, kind), topic);
    this.#hub.host.scheduled(record.id, `${partition}`);
  }

  /** To be called in one step with the settling of these in their accounts. */
  acked(deliveries: readonly Delivery[]): void {
    for (const entry of deliveries as readonly Entry[]) {
      if (entry.staged !== undefined && entry.state === OUT) this.#acked.push(entry);
    }
  }

  commit(): Promise<boolean> {
    if (this.#member.membership === undefined || this.#closed) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
      this.#schedule();
    });
  }

  commitAtOnce(): Promise<boolean> {
    return this.commit();
  }

  touch(): void {
    this.#wanted = true;
    this.#schedule();
  }

  lost(): void {
    this.#epoch++;
    this.#acked = [];
    for (const resolve of this.#waiters.splice(0)) resolve(false);
  }

  close(): void {
    this.#closed = true;
    this.#transactions.close();
    this.lost();
  }

  #schedule(): void {
    if (this.#scheduled || this.#running || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (!this.#closed && (this.#wanted || this.#waiters.length > 0)) {
      this.#wanted = false;
      await this.#round();
    }
    this.#running = false;
  }

  async #round(): Promise<void> {
    const { membership } = this.#member;
    if (membership === undefined) {
      this.lost();
      return;
    }
    const epoch = this.#epoch;
    const acked = this.#acked.splice(0);
    const waiters = this.#waiters.splice(0);
    let parts: readonly Part[] = [];
    let ok = false;
    try {
      const accounts = takeAccounts(this.#parts());
      parts = accounts.parts;
      ok = await this.#store(membership, acked, accounts);
    } catch (error) {
      this.#tell(error);
    }
    if (ok) {
      for (const resolve of waiters) resolve(true);
      return;
    }
    for (const part of parts) part.dirty = true;
    if (epoch !== this.#epoch) {
      for (const resolve of waiters) resolve(false);
      return;
    }
    // The state goes again, later, and the waiters with it.
    this.#acked.unshift(...acked);
    this.#waiters.unshift(...waiters);
    this.#wanted = true;
    await wait(AGAIN);
  }

  async #store(membership: Membership, acked: readonly Entry[], accounts: Accounts): Promise<boolean> {
    // What is in no account is handled again after a crash: it waits until there is room for it.
    if (accounts.lossy) return false;
    if (acked.length > 0) return this.#transact(membership, acked, accounts);
    return accounts.entries.length === 0 || this.#commit(membership, accounts);
  }

  async #transact(membership: Membership, acked: readonly Entry[], { entries }: Accounts): Promise<boolean> {
    const records = acked.flatMap(({ staged }) => staged ?? []);
    const epoch = this.#epoch;
    const { committed, refused, hopeless } = await this.#transactions.run(membership, records, entries);
    if (refused !== 0) react(this.#hub.cluster, this.#member, refused, membership.generation);
    if (hopeless !== undefined && epoch === this.#epoch) this.#hopeless(hopeless);
    return committed;
  }

  async #commit(membership: Membership, { entries }: Accounts): Promise<boolean> {
    const { cluster } = this.#hub;
    const at = Date.now();
    const node = await cluster.coordinator(membership.group);
    const answers = await cluster.send(node, offsetCommit(membership, entries));
    const failed = answers.find(({ error }) => error !== 0 && error !== Code.unknownTopic);
    if (failed === undefined) this.#member.alive(at);
    else react(cluster, this.#member, failed.error, membership.generation);
    return failed === undefined;
  }
}
