import { asBusError, BusError, type BusRecord, ClosedError, ConfigError } from '@ambus/core';
import { wait } from '../driver/cluster.ts';
import { Code, isRefusal, serverError } from '../driver/errors.ts';
import { type Committed, CoordinatorOf, type Membership } from '../driver/group-requests.ts';
import { initProducerId } from '../driver/log-requests.ts';
import type { Request } from '../driver/request.ts';
import {
  addOffsetsToTxn,
  addPartitionsToTxn,
  endTxn,
  type Transactor,
  txnOffsetCommit,
} from '../driver/transaction-requests.ts';
import type { Hub } from '../hub.ts';
import { arrange, type Batches, Refusal, store } from './outbox.ts';
import { committed } from './positions.ts';

/** What became of a transaction. */
export interface Outcome {
  readonly committed: boolean;
  /** The code with which the group refused the positions, 0 where it did not. */
  readonly refused: number;
  /** Set where trying again would fail again. */
  readonly hopeless: BusError | undefined;
}

/** Milliseconds between looks at a transaction that is about to end. */
const LOOK = 5;
const AGAIN = 40;
const LONGEST_AGAIN = 500;

/** Subscriptions of this process that have had transactions. */
let made = 0;

/** Between a group's name and what follows: it stands in no name of a group with a durable topic. */
const MARK = '~';

/** What all names of a group's transactions begin with. */
export function transactionsOf(group: string): string {
  return group + MARK;
}

/** A name for the transactions of one subscription. Who comes back as a static member ends at once what was open when it went. */
export function newTransactionalId({ settings, host }: Hub, group: string): string {
  return transactionsOf(group) + (settings.groupInstanceId ?? `${host.busId}${MARK}${made++}`);
}

/** Milliseconds after which the server aborts a transaction whose process is gone. */
export function transactionTimeout({ settings }: Hub): number {
  return Math.max(settings.sessionTimeout, settings.requestTimeout * 2);
}

/**
 * The transactions of one subscription: each stores records and commits positions of the group, or does neither. One at
 * a time. Whatever goes wrong, the next identity under the same name ends what the last one had begun.
 */
export class Transactions {
  readonly #hub: Hub;
  readonly #group: string;
  readonly #id: string;
  readonly #timeout: number;
  readonly #tell: (error: unknown) => void;
  readonly #sequences = new Map<string, number>();
  #me: Transactor | undefined;
  #single = false;
  #closed = false;

  /** @param tell - told of errors after which it goes on as after any other */
  constructor(hub: Hub, group: string, id: string, tell: (error: unknown) => void) {
    this.#hub = hub;
    this.#group = group;
    this.#id = id;
    this.#timeout = transactionTimeout(hub);
    this.#tell = tell;
  }

  /** Rejects where transactions are not possible here. */
  async start(): Promise<void> {
    const deadline = Date.now() + this.#timeout;
    this.#me = await this.#identify(deadline);
  }

  close(): void {
    this.#closed = true;
  }

  /** Resolves when it is known what became of it. */
  async run(
    membership: Membership,
    records: readonly BusRecord[],
    entries: readonly Committed[],
  ): Promise<Outcome> {
    let batches: Batches | undefined;
    let ending = false;
    try {
      this.#me ??= await this.#identify();
      const me = this.#me;
      batches = await arrange(this.#hub, records, this.#single);
      await this.#add(me, batches);
      const parts = [store(this.#hub, me, batches, this.#sequences), this.#position(me, membership, entries)];
      const failed = (await Promise.allSettled(parts)).find(({ status }) => status === 'rejected');
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
      ending = true;
      await this.#end(me);
      return { committed: true, refused: 0, hopeless: undefined };
    } catch (error) {
      const failure = error instanceof Refusal ? error : this.#asBusError(error);
      const known = await this.#recover(ending ? entries : []);
      if (known) return { committed: true, refused: 0, hopeless: undefined };
      if (batches !== undefined) {
        const names = [...new Set(batches.map(({ topic }) => topic))];
        await this.#hub.catalog.refresh(names).catch(() => {});
      }
      const refused = failure instanceof Refusal && failure.of === 'group' ? failure.code : 0;
      return { committed: false, refused, hopeless: this.#hopeless(failure) };
    }
  }

  /** Ends what was begun. Resolves to whether these positions are committed all the same. */
  async #recover(entries: readonly Committed[]): Promise<boolean> {
    this.#me = undefined;
    try {
      this.#me = await this.#identify();
      if (entries.length === 0) return false;
      const found = await committed(this.#hub.cluster, this.#group, entries, true);
      const places = new Map(found.map((one) => [`${one.topic}/${one.partition}`, one]));
      return entries.every(({ topic, partition, offset, metadata }) => {
        const one = places.get(`${topic}/${partition}`);
        return one?.offset === offset && one.metadata === metadata;
      });
    } catch (error) {
      // Not known yet: it is found out before anything else is done under this name.
      if (entries.length === 0 || this.#closed || !this.#asBusError(error).retryable) return false;
      await wait(AGAIN);
      return this.#recover(entries);
    }
  }

  #asBusError(error: unknown): BusError {
    this.#tell(error);
    return asBusError(error, { broker: 'kafka' });
  }

  #hopeless(error: BusError | Refusal): BusError | undefined {
    if (BusError.is(error)) return error.retryable ? undefined : error;
    const { code, of } = error;
    if (of === 'group') return undefined;
    if ((code === Code.messageTooLarge || code === Code.recordListTooLarge) && !this.#single) {
      this.#single = true;
      return undefined;
    }
    return of === 'record' || isRefusal(code) ? serverError(code, error.message) : undefined;
  }

  /**
   * A number that no other has under this name: the server ends what is open under it first.
   *
   * @param deadline - milliseconds since the epoch; none where it is to be tried until the end of the subscription
   */
  async #identify(deadline: number = Number.POSITIVE_INFINITY): Promise<Transactor> {
    this.#sequences.clear();
    const transactionalId = this.#id;
    for (let failures = 0; ; failures++) {
      if (this.#closed) throw new ClosedError('the subscription is closed', { broker: 'kafka' });
      try {
        const request = initProducerId(transactionalId, this.#timeout);
        const { error, id, epoch } = await this.#ask(request, (answer) => answer.error);
        if (error === 0) return { transactionalId, producer: { id, epoch } };
        throw refusal(error);
      } catch (error) {
        const failure = asBusError(error, { broker: 'kafka' });
        if (!failure.retryable || Date.now() > deadline) throw failure;
        await wait(Math.min(LONGEST_AGAIN, AGAIN * 2 ** Math.min(failures, 5)));
      }
    }
  }

  async #add(me: Transactor, batches: Batches): Promise<void> {
    if (batches.length === 0) return;
    const answers = await this.#ask(
      addPartitionsToTxn(me, batches),
      // Where one is refused the others are told "not attempted".
      (all) => all.find(({ error }) => error !== 0 && error !== NOT_ATTEMPTED)?.error ?? 0,
    );
    const failed = answers.find(({ error }) => error !== 0 && error !== NOT_ATTEMPTED);
    if (failed === undefined) return;
    const of = isRefusal(failed.error) ? 'record' : 'transaction';
    throw new Refusal(failed.error, of, `publishing to "${failed.topic}" in a transaction`);
  }

  async #position(me: Transactor, membership: Membership, entries: readonly Committed[]): Promise<void> {
    if (entries.length === 0) return;
    const error = await this.#ask(addOffsetsToTxn(me, this.#group), (code) => code);
    if (error !== 0) throw new Refusal(error, 'transaction', 'committing in a transaction');
    const answers = await this.#hub.cluster.sendToCoordinator(
      this.#group,
      txnOffsetCommit(me, membership, entries),
      (all) => all.find((one) => one.error !== 0)?.error ?? 0,
    );
    const failed = answers.find((one) => one.error !== 0 && one.error !== Code.unknownTopic);
    if (failed !== undefined) throw new Refusal(failed.error, 'group', 'committing in a transaction');
  }

  /** Asked again where the answer is lost: the server knows what it has done. */
  async #end(me: Transactor): Promise<void> {
    const deadline = Date.now() + this.#timeout;
    for (;;) {
      try {
        const error = await this.#ask(endTxn(me, true), (code) => code);
        if (error === 0) return;
        throw new Refusal(error, 'transaction', 'ending a transaction');
      } catch (error) {
        if (!BusError.is(error) || !error.retryable || this.#closed || Date.now() > deadline) throw error;
        await wait(AGAIN);
      }
    }
  }

  /** Asks the coordinator, and again while it is busy with the end of the transaction before. */
  async #ask<T>(request: Request<T>, errorOf: (answer: T) => number): Promise<T> {
    const { cluster } = this.#hub;
    for (;;) {
      const of = CoordinatorOf.transaction;
      const answer = await cluster.sendToCoordinator(this.#id, request, errorOf, undefined, of);
      if (errorOf(answer) !== Code.concurrentTransactions || this.#closed) return answer;
      await wait(LOOK);
    }
  }
}

const NOT_ATTEMPTED = 55;

function refusal(code: number): BusError {
  const context = { broker: 'kafka' };
  if (code === Code.invalidTransactionTimeout) {
    return new ConfigError(
      'the server does not allow transactions as long as the session: see its transaction.max.timeout.ms',
      context,
    );
  }
  return isRefusal(code)
    ? new ConfigError('this account may not use transactions', context)
    : serverError(code, 'beginning transactions');
}
