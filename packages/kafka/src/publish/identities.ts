import { asBusError, type BusError } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { serverError } from '../driver/errors.ts';
import { initProducerId } from '../driver/log-requests.ts';
import type { Producer } from '../driver/records.ts';

const AGAIN = 40;
const LONGEST_AGAIN = 500;

/**
 * Identities under which batches are numbered, so that the server knows one that comes again. All queues begin with the
 * current one and keep it; one whose batch is in doubt gives it up and takes a newer one, under which it never sent.
 */
export class Identities {
  readonly #cluster: Cluster;
  #current: Producer | undefined;
  #asking: Promise<void> | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** What a queue without an identity takes. */
  get current(): Producer | undefined {
    return this.#current;
  }

  /** A queue has given it up, so it must not take it again. */
  retire(producer: Producer | undefined): void {
    if (this.#current === producer) this.#current = undefined;
  }

  /**
   * Resolves when there is a current one, or nobody wants it any more.
   *
   * @param wanted - whether anybody still waits for it
   * @param failed - told of each attempt that failed
   */
  ask(wanted: () => boolean, failed: (error: BusError) => void): Promise<void> {
    this.#asking ??= this.#ask(wanted, failed).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(wanted: () => boolean, failed: (error: BusError) => void): Promise<void> {
    for (let failures = 0; this.#current === undefined && wanted(); failures++) {
      try {
        const { error, id, epoch } = await this.#cluster.sendToAny(initProducerId());
        if (error !== 0) throw serverError(error, 'getting a producer id');
        this.#current = { id, epoch };
      } catch (error) {
        failed(asBusError(error, { broker: 'kafka' }));
        await wait(Math.min(LONGEST_AGAIN, AGAIN * 2 ** failures));
      }
    }
  }
}
