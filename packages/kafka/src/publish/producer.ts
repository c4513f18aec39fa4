import { asBusError, type BusError } from '@ambus/core';
import { type Cluster, wait } from '../driver/cluster.ts';
import { serverError } from '../driver/errors.ts';
import { initProducerId } from '../driver/log-requests.ts';
import type { Producer } from '../driver/records.ts';

const AGAIN = 40;
const LONGEST_AGAIN = 500;

/**
 * An identity under which batches are numbered, so that the server knows one that comes again.
 *
 * @param wanted - whether anybody still waits for it
 * @param failed - told of each attempt that failed
 */
export async function newProducer(
  cluster: Cluster,
  wanted: () => boolean,
  failed: (error: BusError) => void,
): Promise<Producer | undefined> {
  for (let failures = 0; wanted(); failures++) {
    try {
      const { error, id, epoch } = await cluster.sendToAny(initProducerId());
      if (error === 0) return { id, epoch };
      throw serverError(error, 'getting a producer id');
    } catch (error) {
      failed(asBusError(error, { broker: 'kafka' }));
      await wait(Math.min(LONGEST_AGAIN, AGAIN * 2 ** failures));
    }
  }
  return undefined;
}
