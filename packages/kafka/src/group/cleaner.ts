import { BusError } from '@ambus/core';
import { isRefusal } from '../driver/errors.ts';
import { deleteRecords } from '../driver/log-requests.ts';
import type { Part } from '../feed/part.ts';
import type { Hub } from '../hub.ts';

/** Milliseconds between looks. */
const EVERY = 60_000;
/** Milliseconds that the server may take. */
const TIMEOUT = 5_000;

/** Removes a group's retries that are done: their topic would keep them for ever. */
export class Cleaner {
  readonly #hub: Pick<Hub, 'cluster' | 'catalog' | 'host'>;
  readonly #parts: () => Iterable<Part>;
  readonly #commit: () => Promise<boolean>;
  /** Below what each partition was cleaned. */
  readonly #cleaned = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  /** @param commit - resolves to whether what is settled now is on the server */
  constructor(
    hub: Pick<Hub, 'cluster' | 'catalog' | 'host'>,
    parts: () => Iterable<Part>,
    commit: () => Promise<boolean>,
  ) {
    this.#hub = hub;
    this.#parts = parts;
    this.#commit = commit;
  }

  start(): void {
    this.#timer = setInterval(() => void this.clean(), EVERY).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What fails is done the next time. */
  async clean(): Promise<void> {
    const byLeader = new Map<number, { topic: string; partition: number; before: number }[]>();
    for (const { kind, draining, topic, partition, place, ledger } of this.#parts()) {
      if (kind !== 'q' || draining || ledger.floor <= (this.#cleaned.get(place) ?? 0)) continue;
      const leader = this.#hub.catalog.known(topic)?.leaders[partition] ?? -1;
      const one = { topic, partition, before: ledger.floor };
      if (leader >= 0) byLeader.set(leader, [...(byLeader.get(leader) ?? []), one]);
    }
    if (byLeader.size === 0) return;
    try {
      // Another member must not look for them.
      if (!(await this.#commit())) return;
      for (const [leader, list] of byLeader) await this.#delete(leader, list);
    } catch (error) {
      if (BusError.is(error)) return;
      this.#hub.host.warning('retries that are done could not be removed', { error });
    }
  }

  async #delete(
    leader: number,
    list: readonly { readonly topic: string; readonly partition: number; readonly before: number }[],
  ): Promise<void> {
    const answers = await this.#hub.cluster.send(leader, deleteRecords(list, TIMEOUT));
    for (const { topic, partition, error } of answers) {
      const one = list.find((other) => other.topic === topic && other.partition === partition);
      if (error === 0 && one !== undefined) this.#cleaned.set(`${topic}/${partition}`, one.before);
      if (!isRefusal(error)) continue;
      this.close();
      this.#hub.host.warning('this account may not remove retries that are done: their topic only grows', {
        topic,
      });
      return;
    }
  }
}
